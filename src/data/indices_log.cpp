#include "data/indices_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/mapped_file.h"
#include "text/gzip_member.h"
#include "text/inflater.h"

namespace coat {

namespace {

constexpr std::size_t kFlushBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxMemberBytes = std::size_t{1} << 30;  // zlib counts in 32 bits

struct Member {
  std::size_t file_bytes = 0;
  bool is_whole = false;  // false: damaged or cut short
};

/// Reads the gzip member at the front of `bytes`, and into `text` what it holds, as far as it can be read.
Member ReadMember(std::span<const std::byte> bytes, std::string& text) {
  text.clear();
  Inflater inflater;
  std::vector<std::byte> chunk(std::size_t{1} << 18);
  Member member;
  auto state = Inflater::State::kInMember;
  while (state == Inflater::State::kInMember && member.file_bytes < bytes.size()) {
    const Inflater::Step step = inflater.Decompress(bytes.subspan(member.file_bytes), chunk);
    member.file_bytes += step.consumed;
    text.append(reinterpret_cast<const char*>(chunk.data()), step.produced);
    state = step.state;
  }
  member.is_whole = state == Inflater::State::kEndOfMember;
  return member;
}

/// How much of the text is lines of steps up to `last_step`. Steps never decrease.
std::size_t BytesUpToStep(std::string_view text, std::int64_t last_step, const std::string& path) {
  std::size_t line = 0;
  while (line < text.size()) {
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(text.data() + line, text.data() + text.size(), step);
    const std::size_t newline = text.find('\n', line);
    if (error != std::errc() || newline == std::string_view::npos || (*end != '\t' && *end != '\n')) {
      throw IoError(fmt::format("{}: is not a log of data indices: a line does not begin with its step", path));
    }
    if (step > last_step) {
      break;
    }
    line = newline + 1;
  }
  return line;
}

/// What of an existing log belongs to the first `steps_done` steps.
struct Kept {
  std::size_t file_bytes = 0;  // whole members
  std::string text;            // the first lines of the member after them
};

Kept KeepSteps(const std::string& path, std::int64_t steps_done) {
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  Kept kept;
  std::string text;
  while (kept.file_bytes < bytes.size()) {
    const Member member = ReadMember(bytes.subspan(kept.file_bytes), text);
    if (kept.file_bytes == 0 && !member.is_whole && text.empty()) {
      throw IoError(fmt::format("{}: is not a log of data indices: it does not begin with gzip data", path));
    }
    if (!member.is_whole) {
      text.erase(text.rfind('\n') + 1);  // all of it where there is no whole line
    }
    const std::size_t lines = BytesUpToStep(text, steps_done, path);
    if (!member.is_whole || lines < text.size()) {
      kept.text = text.substr(0, lines);
      break;
    }
    kept.file_bytes += member.file_bytes;
  }
  return kept;
}

FileDescriptor OpenLog(const std::string& path, std::int64_t steps_done, bool overwrite) {
  MakeFolders(ParentFolder(path));
  if (steps_done == 0 && !overwrite && ::access(path.c_str(), F_OK) == 0) {
    throw IoError(fmt::format("{}: exists already; nothing was overwritten", path));
  }
  return {path, O_WRONLY | O_CREAT | O_APPEND};
}

}  // namespace

DataIndexLog::DataIndexLog(const std::string& path, std::int64_t steps_done, bool overwrite)
    : file_(OpenLog(path, steps_done, overwrite)) {
  Kept kept;
  if (steps_done > 0) {
    kept = KeepSteps(path, steps_done);
  }
  file_.Truncate(static_cast<std::int64_t>(kept.file_bytes));
  text_ = std::move(kept.text);
  Flush();
}

DataIndexLog::~DataIndexLog() {
  try {
    Flush();
  } catch (const std::exception&) {
    // What is lost here, a run that goes on from the last checkpoint records again.
  }
}

void DataIndexLog::Add(std::int64_t step, std::span<const std::int64_t> indices) {
  text_ += std::to_string(step);
  for (const std::int64_t index : indices) {
    text_ += '\t';
    text_ += std::to_string(index);
  }
  text_ += '\n';
  if (text_.size() >= kFlushBytes) {
    Flush();
  }
}

void DataIndexLog::Flush() {
  if (text_.empty()) {
    return;
  }
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::size_t size = rest.size() <= kMaxMemberBytes ? rest.size() : rest.rfind('\n', kMaxMemberBytes) + 1;
    file_.Write(GzipMember(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  file_.Sync();
  text_.clear();
}

}  // namespace coat
