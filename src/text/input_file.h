#pragma once
// A file of text to read from front to back, compressed or not.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "text/decompressor.h"

namespace coat {

/// Streams the bytes of a file or pipe. What begins as gzip or zstd data do is decompressed, whatever its name: all
/// members, one after the other. Not thread-safe.
class InputFile {
 public:
  /// Throws IoError when the file cannot be read, is a folder, or is named .gz or .zst and is not
  /// of that format.
  explicit InputFile(std::string path);

  const std::string& path() const { return file_.path(); }

  /// Fills the front of `bytes`, which must not be empty, and returns how many it wrote; 0 only at the end.
  ///
  /// Throws IoError naming the byte of the compressed file where it is damaged or cut short, or where something else
  /// follows.
  std::size_t Read(std::span<std::byte> bytes);

  /// How much of the file, as it is stored, has been consumed.
  std::int64_t consumed_bytes() const { return read_bytes_ - static_cast<std::int64_t>(pending_.size()); }

 private:
  /// Reads the next piece of the stored file into pending_; leaves it empty at the end.
  void Refill();
  std::size_t Decompress(std::span<std::byte> bytes);

  FileDescriptor file_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> pending_;  // of buffer_, not yet consumed
  std::int64_t read_bytes_ = 0;
  std::unique_ptr<Decompressor> decompressor_;  // none for a file that is not compressed
  bool is_in_member_ = false;                   // of compressed data; false between members and at the end
};

}  // namespace coat
