#include "data/token_output.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"
#include "base/mapped_file.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

struct NameParts {
  std::string stem;    // "folder/a"
  std::string ending;  // ".npy", or ""
};

NameParts PartsOf(const std::string& path) {
  const std::string_view ending = path.ends_with(".npy") ? ".npy" : "";
  return {path.substr(0, path.size() - ending.size()), std::string(ending)};
}

std::string ShardPath(const std::string& path, std::size_t index) {
  const NameParts parts = PartsOf(path);
  return fmt::format("{}-{:05}{}", parts.stem, index, parts.ending);
}

}  // namespace

std::vector<std::string> TokenOutput::ExistingShards(const std::string& path) {
  const NameParts parts = PartsOf(path);
  const std::string begin = fs::path(parts.stem).filename().string() + "-";
  std::vector<std::string> shards;
  std::error_code none;  // a folder that is not there has no shards
  for (const fs::directory_entry& entry : fs::directory_iterator(ParentFolder(path), none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(parts.ending)) continue;
    const std::size_t length = name.size() - std::min(name.size(), begin.size() + parts.ending.size());
    const std::string_view number = std::string_view(name).substr(begin.size(), length);
    if (number.size() < 5 || number.find_first_not_of("0123456789") != std::string_view::npos) continue;
    shards.push_back(parts.stem + "-" + std::string(number) + parts.ending);
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

TokenOutput::TokenOutput(std::string path, TokenType type, std::int64_t shard_tokens, bool overwrite)
    : path_(std::move(path)), type_(type), shard_tokens_(shard_tokens), overwrite_(overwrite) {
  if (shard_tokens_ > 0 && !overwrite_) {
    const std::vector<std::string> existing = ExistingShards(path_);
    if (!existing.empty()) throw IoError(existing.front() + ": exists already; nothing was overwritten");
  }
  AddFile();
}

void TokenOutput::AddFile() {
  if (!files_.empty()) files_.back()->Finish();
  const std::string path = shard_tokens_ > 0 ? ShardPath(path_, files_.size()) : path_;
  files_.push_back(std::make_unique<AtomicFile>(path, overwrite_));
}

void TokenOutput::Write(std::span<const std::int32_t> ids) {
  while (!ids.empty()) {
    std::size_t count = ids.size();
    if (shard_tokens_ > 0) {
      const std::int64_t room = files() * shard_tokens_ - tokens_;
      if (room == 0) {
        AddFile();
        continue;
      }
      count = std::min(count, static_cast<std::size_t>(room));
    }
    const std::span<const std::int32_t> some = ids.first(count);
    if (type_ == TokenType::kUint16) {
      narrow_.assign(some.begin(), some.end());
      files_.back()->Write(std::as_bytes(std::span(narrow_)));
    } else {
      files_.back()->Write(std::as_bytes(some));
    }
    tokens_ += static_cast<std::int64_t>(count);
    ids = ids.subspan(count);
  }
}

void TokenOutput::MoveTail(std::int64_t count, AtomicFile& to) {
  AtomicFile& file = *files_.front();
  const std::int64_t bytes = (tokens_ - count) * SizeOf(type_);
  file.Flush();
  {
    const MappedFile all(file.partial_path());
    to.Write(all.Range(bytes, all.size() - bytes));
  }
  file.Truncate(bytes);
}

void TokenOutput::Commit() {
  std::set<std::string> written;
  for (const std::unique_ptr<AtomicFile>& file : files_) {
    file->Commit();
    written.insert(file->path());
  }
  if (shard_tokens_ == 0 || !overwrite_) return;
  for (const std::string& shard : ExistingShards(path_)) {
    std::error_code error;
    if (!written.contains(shard) && !fs::remove(shard, error)) {
      throw IoError(fmt::format("{}: is of an earlier output and cannot be removed: {}", shard, error.message()));
    }
  }
}

}  // namespace coat
