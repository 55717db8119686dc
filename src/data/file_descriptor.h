#pragma once
// An open file of the operating system, closed at the end of its scope.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace coat {

/// Owns a file descriptor. Move-only. What fails throws IoError with the path and the system's reason.
class FileDescriptor {
 public:
  /// Opens `path` with open(2)'s `flags`. A file that it creates gets the usual permissions (0666 less the umask).
  FileDescriptor(std::string path, int flags);
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;

  const std::string& path() const { return path_; }
  int get() const { return descriptor_; }

  /// The size in bytes of a regular file; 0 for anything else that can be read, say a pipe.
  std::int64_t Size() const;

  /// Reads up to `bytes.size()` bytes from the current place and returns how many; 0 only at the end.
  std::size_t Read(std::span<std::byte> bytes);

  /// Writes all of `bytes` at the current place.
  void Write(std::span<const std::byte> bytes);

  /// Waits until what was written has reached the disk.
  void Sync();

  /// Closes, and reports what only closing reveals (a full quota on a network disk). The destructor swallows it.
  void Close();

 private:
  std::string path_;
  int descriptor_;
};

/// The system's text for an errno value.
std::string SystemReason(int error_number);

/// The folder of `path`, "." where it names none.
std::string ParentFolder(const std::string& path);

/// Makes names created, renamed or removed in the folder of `path` durable. Does nothing where the folder may not be
/// opened or its file system knows no such request.
void SyncParentFolder(const std::string& path);

}  // namespace coat
