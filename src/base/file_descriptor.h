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
  bool is_open() const { return descriptor_ >= 0; }

  /// The size in bytes of a regular file; 0 for anything else that can be read, say a pipe. Throws for a folder.
  std::int64_t Size() const;

  /// Reads up to `bytes.size()` bytes from the current place and returns how many; 0 only at the end.
  std::size_t Read(std::span<std::byte> bytes);

  /// Writes all of `bytes` at the current place. A full disk and a file size limit are errors that name the byte (the
  /// process must ignore SIGXFSZ, or the limit ends it).
  void Write(std::span<const std::byte> bytes);

  /// Shortens the file to its first `size_bytes` bytes. The current place stays where it is.
  void Truncate(std::int64_t size_bytes);

  /// Waits until what was written has reached the disk.
  void Sync();

  /// Closes, and reports what only closing reveals (a full quota on a network disk). The destructor swallows it.
  void Close();

 private:
  /// " at byte N", where the next write goes; nothing for what has no places, say a pipe.
  std::string PlaceOfWrite() const;

  std::string path_;
  int descriptor_;
};

}  // namespace coat
