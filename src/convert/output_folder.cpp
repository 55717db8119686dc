#include "convert/output_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/file_system.h"
#include "checkpoint/directory.h"
#include "checkpoint/file_names.h"
#include "convert/hf_files.h"
#include "convert/native_files.h"

namespace coat {

OutputFolder::OutputFolder(std::string path, IfExists if_exists) : path_(std::move(path)), if_exists_(if_exists) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  temporary_path_ = fmt::format("{}{}", path_, kTemporarySuffix);
  const PathKind kind = KindOf(path_);
  if (kind != PathKind::kMissing) {
    if (kind != PathKind::kFolder) throw IoError(fmt::format("{} exists and is no folder", path_));
    if (if_exists == IfExists::kRefuse) throw IoError(fmt::format("{} exists; --overwrite replaces it", path_));
    const auto has = [&](std::string_view name) {
      return KindOf(fmt::format("{}/{}", path_, name)) == PathKind::kFile;
    };
    const bool is_hf = has(kHfConfigFile) && (has(kHfModelFile) || has(kHfIndexFile));
    const bool is_native = has(kNativeConfigFile) && (has(kNativeModelFile) || has(kNativeSafetensorsFile));
    const bool is_model = IsWholeCheckpoint(path_) || is_hf || is_native;
    if (!is_model && !ListFolder(path_).empty()) {
      throw IoError(fmt::format("{} exists and holds something else than a model, so it is not overwritten", path_));
    }
  }
  MakeFolders(ParentFolder(path_));
  RemoveTree(temporary_path_);
  MakeFolder(temporary_path_);
}

OutputFolder::~OutputFolder() {
  if (has_name_) return;
  std::error_code ignored;  // what cannot be removed now is removed by the next conversion to this path
  std::filesystem::remove_all(temporary_path_, ignored);
}

std::string OutputFolder::FilePath(const std::string& name) const {
  return fmt::format("{}/{}", temporary_path_, name);
}

FileRecord OutputFolder::WriteText(const std::string& name, std::string_view text) const {
  OutputFile file(FilePath(name));
  file.Write(text);
  return file.Finish();
}

void OutputFolder::Commit() {
  COAT_REQUIRE(!has_name_, "OutputFolder {}: committed twice", path_);
  SyncFolder(temporary_path_);
  const std::string aside = fmt::format("{}{}", path_, kReplacedSuffix);
  if (if_exists_ == IfExists::kReplace) {
    TakeFolderName(temporary_path_, path_, aside);
  } else {
    Rename(temporary_path_, path_);  // fails if something came there meanwhile
  }
  has_name_ = true;
  SyncParentFolder(path_);
  RemoveTree(temporary_path_);
  RemoveTree(aside);
}

}  // namespace coat
