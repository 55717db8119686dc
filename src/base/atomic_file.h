#pragma once
// A file that appears under its name only when it is complete.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file_descriptor.h"

namespace coat {

/// Writes a file aside (`path` + ".partial-" and a random number), and renames it on Commit. Without a Commit it
/// removes what it wrote, so that `path` is never a half file; only a killed process leaves the partial one behind.
///
/// What fails throws IoError and leaves `path` as it was.
class AtomicFile {
 public:
  /// Throws IoError at once when `path` is a folder, a device or a pipe, or exists and `overwrite` is false.
  AtomicFile(std::string path, bool overwrite);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  /// Where the bytes are until Commit. They are all there after Flush.
  const std::string& partial_path() const { return file_.path(); }

  /// Appends. Small pieces are gathered into large ones.
  void Write(std::span<const std::byte> bytes);

  /// Hands everything written so far to the system.
  void Flush();

  /// Shortens the file to its first `size_bytes` bytes. Nothing may be written after it.
  void Truncate(std::int64_t size_bytes);

  /// Brings the file to the disk and closes it, for a Commit that is long to come. Nothing may be written after it.
  void Finish();

  /// Finish, if that has not been done, and gives the file its name. At most once.
  void Commit();

 private:
  std::string path_;
  bool overwrite_;
  FileDescriptor file_;
  std::vector<std::byte> buffer_;
  bool committed_ = false;
};

/// From now on SIGHUP, SIGINT and SIGTERM, unless they are ignored, remove what every AtomicFile has written and not
/// committed, and end the process as they would. For the whole process; called once, in main. A part of the program
/// that ends in its own way puts its handlers in their place (output/stop_signal.h).
void RemoveUnfinishedFilesAtSignals();

}  // namespace coat
