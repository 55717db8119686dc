#include "checkpoint/checkpoint_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/directory.h"
#include "checkpoint/quoted.h"

namespace coat {

CheckpointReader::CheckpointReader(std::string path) : path_(std::move(path)) {
  if (!IsWholeCheckpoint(path_)) {
    throw IoError(
        fmt::format("{} is not a checkpoint: expected a folder with {} and {}", path_, kTrainerStateFile, kConfigFile));
  }
  const MappedFile file(fmt::format("{}/{}", path_, kTrainerStateFile));
  state_ = ParseTrainerState(file.text(), file.path());
}

bool CheckpointReader::Contains(const std::string& name) const {
  return std::any_of(state_.files.begin(), state_.files.end(),
                     [&](const FileRecord& file) { return file.name == name; });
}

SafetensorsReader CheckpointReader::OpenSafetensors(const std::string& name) const {
  return SafetensorsReader(OpenChecked(name));
}

std::string CheckpointReader::ReadFile(const std::string& name) const {
  return std::string(OpenChecked(name).text());
}

MappedFile CheckpointReader::OpenChecked(const std::string& name) const {
  const auto record = std::find_if(state_.files.begin(), state_.files.end(),
                                   [&](const FileRecord& candidate) { return candidate.name == name; });
  if (record == state_.files.end()) {
    throw IoError(fmt::format("{}: the checkpoint has no file {}; {} records {} others", path_, Quoted(name),
                              kTrainerStateFile, state_.files.size()));
  }
  MappedFile file(fmt::format("{}/{}", path_, name));
  if (file.bytes().size() != record->size_bytes) {
    throw IoError(fmt::format("{}: {} bytes long; expected {}, as {} records", file.path(), file.bytes().size(),
                              record->size_bytes, kTrainerStateFile));
  }
  if (const std::uint32_t crc32 = Crc32(file.bytes()); crc32 != record->crc32) {
    throw IoError(fmt::format("{}: damaged: its bytes have the checksum {:08x}; expected {:08x}, as {} records",
                              file.path(), crc32, record->crc32, kTrainerStateFile));
  }
  return file;
}

}  // namespace coat
