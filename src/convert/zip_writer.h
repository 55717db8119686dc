#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/output_file.h"
#include "convert/zip_reader.h"

namespace coat {

/// Writes a zip archive of stored entries from front to back, with zip64's sizes throughout, so that nothing is too
/// large. Entries begin at multiples of 64 bytes and have no times: the same calls give the same bytes.
///
/// Faults of the disk are IoErrors, faults of the caller ArgumentErrors. The file is whole and on the disk when Finish
/// returns. Move-only.
class ZipWriter {
 public:
  /// Throws IoError if `path` exists.
  explicit ZipWriter(const std::string& path) : file_(path) {}

  /// Starts an entry of `size` bytes; the one before must have all of its own.
  void Begin(const std::string& name, std::int64_t size);
  /// Appends bytes of the entry.
  void Write(std::span<const std::byte> bytes);
  /// A whole entry.
  void Add(const std::string& name, std::string_view text);

  /// Writes the directory. To be called once, last.
  void Finish();

 private:
  void Append(std::string_view record);
  void EndEntry();

  OutputFile file_;
  std::uint64_t at_ = 0;  // bytes of the file so far
  std::vector<ZipEntry> entries_;
  std::vector<std::uint64_t> headers_;  // where each one's header is
  std::int64_t left_ = 0;               // bytes that the last entry lacks
};

}  // namespace coat
