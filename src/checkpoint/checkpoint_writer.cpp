#include "checkpoint/checkpoint_writer.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"
#include "checkpoint/checksum.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"

namespace coat {

CheckpointWriter::CheckpointWriter(std::string folder, CheckpointName name, IfExists if_exists)
    : folder_(std::move(folder)),
      name_(name),
      if_exists_(if_exists),
      path_(fmt::format("{}/{}", folder_, name.text())),
      temporary_path_(fmt::format("{}{}", path_, kTemporarySuffix)) {
  COAT_REQUIRE(name.step >= 0, "CheckpointWriter: step is {}; expected 0 or more", name.step);
  const PathKind kind = KindOf(path_);
  if (kind != PathKind::kMissing && kind != PathKind::kFolder) {
    throw IoError(fmt::format("cannot save {}: something that is not a folder has this name", path_));
  }
  if (kind == PathKind::kFolder && if_exists == IfExists::kRefuse && !ListFolder(path_).empty()) {
    throw IoError(fmt::format("cannot save {}: it exists; set save_overwrite to replace it", path_));
  }
  const std::string link = fmt::format("{}/{}", folder_, LatestLinkName(name.kind));
  if (const PathKind link_kind = KindOf(link); link_kind != PathKind::kMissing && link_kind != PathKind::kLink) {
    throw IoError(
        fmt::format("cannot save {}: {} is not a link, so it cannot lead to the latest checkpoint", path_, link));
  }
  MakeFolders(folder_);
  RemoveTree(temporary_path_);
  MakeFolder(temporary_path_);
}

CheckpointWriter::~CheckpointWriter() {
  if (has_name_) return;
  std::error_code ignored;  // what cannot be removed now is removed at the next start
  std::filesystem::remove_all(temporary_path_, ignored);
}

void CheckpointWriter::AddFile(const std::string& name, std::string_view contents) {
  OutputFile file(NewFilePath(name));
  file.Write(contents);
  files_.push_back(file.Finish());
}

void CheckpointWriter::AddSafetensors(const std::string& name, std::vector<TensorInfo> tensors,
                                      const std::map<std::string, std::string>& metadata,
                                      const std::function<void(SafetensorsWriter&)>& fill) {
  SafetensorsWriter writer(NewFilePath(name), std::move(tensors), metadata);
  fill(writer);
  files_.push_back(writer.Finish());
}

void CheckpointWriter::Commit(TrainerState state, std::string_view config_yaml) {
  COAT_REQUIRE(!has_name_, "CheckpointWriter {}: committed twice", path_);
  const std::string config_name(kConfigFile);
  state.files = files_;
  state.files.push_back({.name = config_name,
                         .size_bytes = config_yaml.size(),
                         .crc32 = Crc32(std::as_bytes(std::span(config_yaml.data(), config_yaml.size())))});
  AddFile(std::string(kTrainerStateFile), FormatTrainerState(state));
  SyncFolder(temporary_path_);
  AddFile(config_name, config_yaml);
  SyncFolder(temporary_path_);

  TakeName();
  SyncFolder(folder_);
  ReplaceLink(name_.text(), fmt::format("{}/{}", folder_, LatestLinkName(name_.kind)));
  SyncFolder(folder_);
  // What this checkpoint replaced bears one of these names, depending on what the file system could do.
  RemoveTree(temporary_path_);
  RemoveTree(fmt::format("{}{}", path_, kReplacedSuffix));
}

std::string CheckpointWriter::NewFilePath(const std::string& name) const {
  COAT_REQUIRE(IsPlainFileName(name), "CheckpointWriter {}: {} is no name for a file in a folder", path_, Quoted(name));
  return fmt::format("{}/{}", temporary_path_, name);
}

void CheckpointWriter::TakeName() {
  const bool replaces = KindOf(path_) == PathKind::kFolder && if_exists_ == IfExists::kReplace;
  if (replaces) {
    TakeFolderName(temporary_path_, path_, fmt::format("{}{}", path_, kReplacedSuffix));
  } else {
    Rename(temporary_path_, path_);  // fails if a folder with content came there meanwhile
  }
  has_name_ = true;
}

}  // namespace coat
