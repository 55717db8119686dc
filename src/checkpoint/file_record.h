#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/mapped_file.h"

namespace coat {

/// What a finished file must be found to be when it is read again.
struct FileRecord {
  std::string name;  // in its checkpoint's folder
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32 = 0;  // of all its bytes (checksum.h)

  bool operator==(const FileRecord&) const = default;
};

/// True for a name that stays in its folder: not empty, no "/", no null byte, neither "." nor "..".
bool IsPlainFileName(std::string_view name);

/// Opens the file of `record` in its checkpoint's folder. Throws IoError unless it has the recorded size and checksum.
MappedFile OpenRecorded(const std::string& folder, const FileRecord& record);

}  // namespace coat
