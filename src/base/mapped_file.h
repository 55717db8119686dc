#pragma once
// A file mapped into memory for reading.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace coat {

/// In which order a mapped file will be read: it decides how much the system reads ahead of what is touched.
enum class ReadOrder { kFrontToBack, kScattered };

/// Maps a whole regular file read-only; pages come from the disk when they are touched. Move-only. Reading from several
/// threads at once is safe.
///
/// It keeps no file descriptor, so thousands of files can be mapped at once.
class MappedFile {
 public:
  /// Throws IoError when the file is missing, unreadable or not a regular file (a folder, a pipe, a device).
  explicit MappedFile(std::string path, ReadOrder order = ReadOrder::kFrontToBack);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }
  /// The whole file. Page-aligned; empty for an empty file. Nobody may shorten the file meanwhile.
  std::span<const std::byte> bytes() const { return {data_, static_cast<std::size_t>(size_)}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), static_cast<std::size_t>(size_)}; }

  /// The bytes [offset, offset + count), which must lie in the file, requested from the disk in one piece.
  ///
  /// Throws IoError when the file has become shorter since it was mapped: to touch its lost pages would end the
  /// process. A file replaced by renaming another over it does no harm: the mapping keeps the old one.
  std::span<const std::byte> Range(std::int64_t offset, std::int64_t count) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
  std::uint64_t device_ = 0, inode_ = 0;  // which file it was
};

}  // namespace coat
