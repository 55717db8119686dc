#include "text/text_lines.h"

#include <utility>

#include "base/error.h"

namespace coat {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::size_t kMostBytes = std::size_t{1} << 30;

}  // namespace

LineReader::LineReader(InputFile& input) : input_(input), chunk_(kChunkBytes) {}

bool LineReader::Next(std::string_view& line) {
  std::size_t searched = begin_;
  while (!has_ended_) {
    std::size_t end = buffer_.find('\n', searched);
    if (end == std::string::npos) {
      buffer_.erase(0, std::exchange(begin_, 0));
      searched = buffer_.size();
      if (searched > kMostBytes) {
        throw IoError(fmt::format("{}:{}: the line is longer than {} bytes; is it a JSONL file, one object a line?",
                                  input_.path(), number_ + 1, kMostBytes));
      }
      const std::size_t count = input_.Read(chunk_);
      buffer_.append(reinterpret_cast<const char*>(chunk_.data()), count);
      if (count > 0) continue;
      has_ended_ = true;
      end = buffer_.size();
    }
    line = std::string_view(buffer_).substr(begin_, end - begin_);
    searched = begin_ = end + 1;
    ++number_;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) return true;
  }
  return false;
}

void ForEachLine(const std::string& path,
                 const std::function<void(std::string_view line, std::int64_t number)>& visit) {
  InputFile input(path);
  LineReader lines(input);
  for (std::string_view line; lines.Next(line);) visit(line, lines.number());
}

}  // namespace coat
