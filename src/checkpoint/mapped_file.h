#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace coat {

/// A file's bytes, mapped for reading. They stay valid while the object lives; nobody may shorten the file meanwhile.
/// Owns the mapping. Move-only.
class MappedFile {
 public:
  /// Throws IoError unless `path` is a file that can be read (a folder, a pipe or a device is refused).
  explicit MappedFile(std::string path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace coat
