#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "checkpoint/file_record.h"

namespace coat {

/// A new file, written from front to back, and a record of what was written. Every failure is an IoError with the path,
/// the offset and the system's reason.
///
/// A file that was not finished stays as it is when the object goes away. Move-only.
class OutputFile {
 public:
  /// Throws IoError if `path` exists.
  explicit OutputFile(std::string path);

  const std::string& path() const { return file_.path(); }
  void Write(std::span<const std::byte> bytes);
  void Write(std::string_view text);

  /// Puts the file on the disk and closes it. To be called once, last.
  FileRecord Finish();

 private:
  FileDescriptor file_;
  std::uint64_t size_bytes_ = 0;
  std::uint32_t crc32_ = 0;
};

}  // namespace coat
