#include "convert/output_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/file_system.h"
#include "base/system_call.h"
#include "checkpoint/directory.h"
#include "checkpoint/file_names.h"
#include "checkpoint/output_file.h"
#include "convert/hf_files.h"
#include "convert/native_files.h"

namespace coat {

namespace {

bool HoldsModel(const std::string& folder) {
  const auto has = [&](std::string_view name) { return KindOf(fmt::format("{}/{}", folder, name)) == PathKind::kFile; };
  const bool is_hf = has(kHfConfigFile) && (has(kHfModelFile) || has(kHfIndexFile));
  const bool is_native = has(kNativeConfigFile) && (has(kNativeModelFile) || has(kNativeSafetensorsFile));
  return IsWholeCheckpoint(folder) || is_hf || is_native;
}

/// Throws IoError if there is anything at `path` but a model or an empty folder.
void RequireReplaceable(const std::string& path) {
  const PathKind kind = KindOf(path);
  if (kind == PathKind::kMissing) return;
  if (kind != PathKind::kFolder) throw IoError(fmt::format("{} exists and is no folder", path));
  if (!HoldsModel(path) && !ListFolder(path).empty()) {
    throw IoError(fmt::format("{} exists and holds something else than a model, so it is not overwritten", path));
  }
}

}  // namespace

OutputFolder::OutputFolder(std::string path, IfExists if_exists) : path_(std::move(path)), if_exists_(if_exists) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  temporary_path_ = PartialName(path_);
  RequireReplaceable(path_);
  if (if_exists == IfExists::kRefuse && KindOf(path_) != PathKind::kMissing) {
    throw IoError(fmt::format("{} exists; --overwrite replaces it", path_));
  }
  const std::string parent = ParentFolder(path_);
  MakeFolders(parent);
  if (::mkdir(temporary_path_.c_str(), 0777) != 0) {
    throw SystemError(path_, fmt::format("made in the folder {}", parent), errno);
  }
}

OutputFolder::~OutputFolder() {
  if (has_name_) return;
  std::error_code ignored;  // there is nobody to tell
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
  const std::string aside = fmt::format("{}-replaced", temporary_path_);
  if (if_exists_ == IfExists::kReplace) {
    RequireReplaceable(path_);  // others may have written there meanwhile
    TakeFolderName(temporary_path_, path_, aside);
  } else {
    RenameToNewName(temporary_path_, path_);
  }
  has_name_ = true;
  SyncParentFolder(path_);
  // What was replaced bears one of these names, depending on what the file system could do.
  RemoveTree(temporary_path_);
  RemoveTree(aside);
}

}  // namespace coat
