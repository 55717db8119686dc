#include "checkpoint/file_record.h"

#include <fmt/format.h>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/directory.h"

namespace coat {

bool IsPlainFileName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

MappedFile OpenRecorded(const std::string& folder, const FileRecord& record) {
  MappedFile file(fmt::format("{}/{}", folder, record.name));
  if (file.bytes().size() != record.size_bytes) {
    throw IoError(fmt::format("{}: {} bytes long; expected {}, as {} records", file.path(), file.bytes().size(),
                              record.size_bytes, kTrainerStateFile));
  }
  if (const std::uint32_t crc32 = Crc32(file.bytes()); crc32 != record.crc32) {
    throw IoError(fmt::format("{}: damaged: its bytes have the checksum {:08x}; expected {:08x}, as {} records",
                              file.path(), crc32, record.crc32, kTrainerStateFile));
  }
  return file;
}

}  // namespace coat
