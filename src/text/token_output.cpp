#include "text/token_output.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

std::string ShardPath(const std::string& path, std::size_t index) {
  const std::string_view ending = path.ends_with(".npy") ? ".npy" : "";
  const std::string_view stem = std::string_view(path).substr(0, path.size() - ending.size());
  return fmt::format("{}-{:05}{}", stem, index, ending);
}

}  // namespace

std::vector<std::string> TokenOutput::ExistingShards(const std::string& path) {
  std::vector<std::string> shards;
  std::error_code none;  // what cannot be looked at is no shard
  for (std::string shard = ShardPath(path, 0); fs::is_regular_file(shard, none);
       shard = ShardPath(path, shards.size())) {
    shards.push_back(std::move(shard));
  }
  return shards;
}

TokenOutput::TokenOutput(std::string path, TokenType type, std::int64_t shard_tokens, bool overwrite)
    : path_(std::move(path)), type_(type), shard_tokens_(shard_tokens), overwrite_(overwrite) {
  if (shard_tokens_ > 0) earlier_ = ExistingShards(path_);
  if (!earlier_.empty() && !overwrite_) {
    throw IoError(earlier_.front() + ": exists already; nothing was overwritten");
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
  for (const std::unique_ptr<AtomicFile>& file : files_) file->Commit();
  for (std::size_t i = files_.size(); i < earlier_.size(); ++i) {
    std::error_code error;
    fs::remove(earlier_[i], error);
    if (error) {
      throw IoError(fmt::format("{}: is of an earlier output and cannot be removed: {}", earlier_[i], error.message()));
    }
  }
}

}  // namespace coat
