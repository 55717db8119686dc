#include "checkpoint/checkpoint_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "checkpoint/directory.h"
#include "checkpoint/quoted.h"

namespace coat {

namespace {

/// What may have been meant by the path of a folder that is not a checkpoint; "" where nothing is near.
std::string Hint(const std::string& path) {
  const std::string latest = fmt::format("{}/{}", path, LatestLinkName(CheckpointKind::kSharded));
  if (IsWholeCheckpoint(latest)) return fmt::format("; did you mean {}?", latest);
  for (const char* const file : {"config.json", "model.pt"}) {
    if (std::filesystem::exists(fmt::format("{}/{}", path, file))) {
      return fmt::format("; `coat convert {} OUT` makes one of it", path);
    }
  }
  return "";
}

}  // namespace

CheckpointReader::CheckpointReader(std::string path) : path_(std::move(path)) {
  if (!IsWholeCheckpoint(path_)) {
    throw IoError(fmt::format("{} is not a checkpoint: expected a folder with {} and {}{}", path_, kTrainerStateFile,
                              kConfigFile, Hint(path_)));
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
