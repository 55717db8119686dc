#include "text/document_reader.h"

#include <strings.h>

#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/json_text.h"

namespace coat {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::size_t kMostBytes = std::size_t{1} << 30;

/// Capital letters are as small ones.
bool HasEnding(std::string_view path, std::string_view ending) {
  return path.size() >= ending.size() &&
         ::strncasecmp(path.data() + path.size() - ending.size(), ending.data(), ending.size()) == 0;
}

bool IsJsonLines(std::string_view path) {
  for (const std::string_view compressed : {".gz", ".zst"}) {
    if (HasEnding(path, compressed)) path.remove_suffix(compressed.size());
  }
  return HasEnding(path, ".jsonl") || HasEnding(path, ".ndjson") || HasEnding(path, ".json");
}

}  // namespace

void RequireNoTokenFile(const std::string& path) {
  if (!HasEnding(path, ".npy")) return;
  throw UsageError(
      fmt::format("{}: is named as a token file, which needs no tokenizing; expected text or lines of JSON", path));
}

DocumentReader::DocumentReader(std::string path, bool in_pieces)
    : input_(std::move(path)),
      lines_(input_),
      is_json_lines_(IsJsonLines(input_.path())),
      in_pieces_(in_pieces),
      chunk_(kChunkBytes) {}

bool DocumentReader::Next(TextPiece& piece) {
  if (is_json_lines_) return NextLine(piece);
  if (has_ended_) return false;
  return in_pieces_ ? NextPiece(piece) : WholeFile(piece);
}

bool DocumentReader::ReadMore() {
  const std::size_t count = input_.Read(chunk_);
  buffer_.append(reinterpret_cast<const char*>(chunk_.data()), count);
  return count > 0;
}

bool DocumentReader::NextLine(TextPiece& piece) {
  std::string_view line;
  if (!lines_.Next(line)) return false;
  piece = {TextOfJsonLine(line, input_.path(), lines_.number())};
  return true;
}

bool DocumentReader::NextPiece(TextPiece& piece) {
  buffer_.clear();
  has_ended_ = !ReadMore();
  piece = {buffer_, has_ended_};
  return true;
}

bool DocumentReader::WholeFile(TextPiece& piece) {
  while (ReadMore()) {
    if (buffer_.size() > kMostBytes) {
      throw IoError(fmt::format("{}: is one document of more than {} bytes; give documents as JSONL, one object a line",
                                input_.path(), kMostBytes));
    }
  }
  has_ended_ = true;
  if (const std::size_t end = FindInvalidUtf8(buffer_); end != buffer_.size()) {
    throw IoError(fmt::format("{}: is not UTF-8 from byte {} on", input_.path(), end));
  }
  piece = {std::exchange(buffer_, {})};
  return true;
}

}  // namespace coat
