#include "checkpoint/checkpoint_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
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
  return OpenRecorded(path_, *record);
}

}  // namespace coat
