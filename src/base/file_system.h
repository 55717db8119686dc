#pragma once
// Folders and names in them. A name that was made, changed or removed lasts through a power failure only after
// SyncFolder of the folder that holds it. What fails throws IoError with the path and the system's reason.

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace coat {

/// The folder of `path`, "." where it names none.
std::string ParentFolder(const std::string& path);

/// Makes a folder and those above it; one that exists is fine.
void MakeFolders(const std::string& path);

/// Gives `from` the name `to`, in one step. A file, an empty folder or a link at `to` is replaced, a folder with
/// content is not.
void Rename(const std::string& from, const std::string& to);

/// Rename, but throws ExistsError if anything is at `to`. Not every file system can do that in one step: there, looks
/// first.
void RenameToNewName(const std::string& from, const std::string& to);

/// "{path}: exists already; nothing was overwritten"
IoError ExistsError(const std::string& path);

/// A name for what is being written and shall be called `path`: that, ".partial-" and a random number.
std::string PartialName(const std::string& path);

/// Puts the names in a folder on the disk. Does nothing where its file system knows no such request, and where the
/// folder may be written but not opened: the system then offers no way.
void SyncFolder(const std::string& path);

/// SyncFolder of the folder that holds `path`.
void SyncParentFolder(const std::string& path);

/// Holds a folder against others of this class, in this process and in others, until it goes away or its process ends,
/// in whatever way. Holds nothing, and finds no other, where the file system knows no such locks or the folder cannot
/// be opened.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path);

  /// Whether another held the folder already.
  bool is_taken() const { return is_taken_; }

  /// Whether the path that was given leads to another folder than then, or to none: it was moved, removed, or something
  /// was mounted there. Asks the system; says no where that does not know.
  bool IsLost() const;

 private:
  /// What tells a folder from all others of this machine.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t number = 0;
    bool operator==(const Identity&) const = default;
  };

  std::string path_;
  std::optional<FileDescriptor> folder_;  // while it is open, no other gets its number
  std::optional<Identity> identity_;
  bool is_taken_ = false;
};

}  // namespace coat
