#include "checkpoint/checkpoint_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/checksum.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"
#include "comm/packed.h"

namespace coat {

CheckpointWriter::CheckpointWriter(std::string folder, CheckpointName name, IfExists if_exists, Communicator& ranks)
    : ranks_(ranks),
      agreement_(ranks),
      folder_(std::move(folder)),
      name_(name),
      if_exists_(if_exists),
      path_(fmt::format("{}/{}", folder_, name.text())),
      temporary_path_(fmt::format("{}{}", path_, kTemporarySuffix)) {
  OnRankZero([this] { MakeTemporaryFolder(); });
  agreement_.Meet();
}

void CheckpointWriter::MakeTemporaryFolder() const {
  COAT_REQUIRE(name_.step >= 0, "CheckpointWriter: step is {}; expected 0 or more", name_.step);
  const PathKind kind = KindOf(path_);
  if (kind != PathKind::kMissing && kind != PathKind::kFolder) {
    throw IoError(fmt::format("cannot save {}: something that is not a folder has this name", path_));
  }
  if (kind == PathKind::kFolder && if_exists_ == IfExists::kRefuse && !ListFolder(path_).empty()) {
    throw IoError(fmt::format("cannot save {}: it exists; set save_overwrite to replace it", path_));
  }
  const std::string link = fmt::format("{}/{}", folder_, LatestLinkName(name_.kind));
  if (const PathKind link_kind = KindOf(link); link_kind != PathKind::kMissing && link_kind != PathKind::kLink) {
    throw IoError(
        fmt::format("cannot save {}: {} is not a link, so it cannot lead to the latest checkpoint", path_, link));
  }
  MakeFolders(folder_);
  RemoveTree(temporary_path_);
  MakeFolder(temporary_path_);
}

CheckpointWriter::~CheckpointWriter() {
  if (has_name_ || ranks_.rank() != 0) return;
  std::error_code ignored;  // what cannot be removed now is removed at the next start
  std::filesystem::remove_all(temporary_path_, ignored);
}

void CheckpointWriter::AddFile(const std::string& name, std::string_view contents) {
  OnRankZero([&] { WriteFile(name, contents); });
}

void CheckpointWriter::AddTensors(const std::string& file, const std::vector<StatePart>& tensors,
                                  const BytesOfTensor& bytes) {
  const PartPlan plan = PlanParts(agreement_.Meet(DescribeParts(tensors)), tensors, ranks_.rank());
  if (ranks_.size() == 1) {
    files_.push_back(WriteOwn(file, plan, bytes));
    return;
  }
  const std::vector<FileRecord> records = WriteParts(file, plan, bytes);
  OnRankZero([&] {
    PartIndex index = IndexOf(plan, file, ranks_.size());
    if (name_.kind == CheckpointKind::kUnsharded) {
      MergeParts(file, std::move(index), records);
    } else {
      files_.insert(files_.end(), records.begin(), records.end());
      WriteFile(IndexFileName(file), FormatPartIndex(index));
    }
  });
}

FileRecord CheckpointWriter::WriteOwn(const std::string& name, const PartPlan& plan, const BytesOfTensor& bytes) const {
  std::vector<TensorInfo> infos;
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    TensorInfo info = plan.tensors[i].whole;
    places[info.name] = i;
    if (ranks_.size() > 1) {
      if (plan.own[i].count == 0) continue;
      info.shape = {plan.own[i].count};
    }
    infos.push_back(std::move(info));
  }
  SafetensorsWriter writer(NewFilePath(name), std::move(infos), {{"format", "pt"}});
  for (const TensorInfo& info : writer.tensors()) {
    const std::size_t place = places.at(info.name);
    if (plan.own[place].count > 0) writer.Write(info.name, bytes(place, plan.own[place]));
  }
  return writer.Finish();
}

std::vector<FileRecord> CheckpointWriter::WriteParts(const std::string& file, const PartPlan& plan,
                                                     const BytesOfTensor& bytes) {
  FileRecord own;
  agreement_.Try([&] {
    const bool writes = std::any_of(plan.own.begin(), plan.own.end(), [](const Part& part) { return part.count > 0; });
    if (writes) own = WriteOwn(PartFileName(file, ranks_.rank(), ranks_.size()), plan, bytes);
    if (ranks_.rank() != 0) SyncFolder(temporary_path_);
  });
  std::vector<FileRecord> records;
  for (const std::string& text : agreement_.Meet(Pack(own.name, own.size_bytes, own.crc32))) {
    const auto [name, size, crc32] = Unpack<std::string, std::uint64_t, std::uint32_t>(text);
    if (!name.empty()) records.push_back({.name = name, .size_bytes = size, .crc32 = crc32});
  }
  return records;
}

void CheckpointWriter::MergeParts(const std::string& file, PartIndex index, const std::vector<FileRecord>& records) {
  const CheckpointTensors tensors(
      std::move(index), fmt::format("{}/{}", temporary_path_, IndexFileName(file)), [&](const std::string& name) {
        const auto record = std::find_if(records.begin(), records.end(),
                                         [&](const FileRecord& candidate) { return candidate.name == name; });
        return SafetensorsReader(OpenRecorded(temporary_path_, *record));
      });
  files_.push_back(WriteWhole(tensors, NewFilePath(file)));
  for (const FileRecord& record : records) RemoveTree(fmt::format("{}/{}", temporary_path_, record.name));
}

void CheckpointWriter::Commit(TrainerState state, std::string_view config_yaml) {
  OnRankZero([&] { CommitFiles(std::move(state), config_yaml); });
  agreement_.Meet();
}

void CheckpointWriter::OnRankZero(const std::function<void()>& work) {
  if (ranks_.rank() == 0) agreement_.Try(work);
}

void CheckpointWriter::CommitFiles(TrainerState state, std::string_view config_yaml) {
  COAT_REQUIRE(!has_name_, "CheckpointWriter {}: committed twice", path_);
  state.files = files_;
  state.files.push_back({.name = kConfigFile,
                         .size_bytes = config_yaml.size(),
                         .crc32 = Crc32(std::as_bytes(std::span(config_yaml.data(), config_yaml.size())))});
  WriteFile(kTrainerStateFile, FormatTrainerState(state));
  SyncFolder(temporary_path_);
  WriteFile(kConfigFile, config_yaml);
  SyncFolder(temporary_path_);

  TakeName();
  SyncFolder(folder_);
  ReplaceLink(name_.text(), fmt::format("{}/{}", folder_, LatestLinkName(name_.kind)));
  SyncFolder(folder_);
  // What this checkpoint replaced bears one of these names, depending on what the file system could do.
  RemoveTree(temporary_path_);
  RemoveTree(fmt::format("{}{}", path_, kReplacedSuffix));
}

void CheckpointWriter::WriteFile(const std::string& name, std::string_view contents) {
  OutputFile file(NewFilePath(name));
  file.Write(contents);
  files_.push_back(file.Finish());
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
