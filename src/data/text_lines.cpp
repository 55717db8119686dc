#include "data/text_lines.h"

#include <cstddef>
#include <vector>

#include "base/error.h"
#include "data/input_file.h"

namespace coat {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 30;

}  // namespace

void ForEachLine(const std::string& path,
                 const std::function<void(std::string_view line, std::int64_t number)>& visit) {
  InputFile input(path);
  std::vector<std::byte> chunk(kChunkBytes);
  std::string line;
  std::int64_t number = 1;
  const auto end_line = [&] {
    if (line.find_first_not_of(" \t\r") != std::string::npos) visit(line, number);
    line.clear();
    ++number;
  };
  while (const std::size_t count = input.Read(chunk)) {
    std::string_view piece(reinterpret_cast<const char*>(chunk.data()), count);
    for (std::size_t end; (end = piece.find('\n')) != std::string_view::npos; piece.remove_prefix(end + 1)) {
      line += piece.substr(0, end);
      end_line();
    }
    line += piece;
    if (line.size() > kMaxLineBytes) {
      throw IoError(fmt::format("{}:{}: the line is longer than {} bytes; is it a JSONL file, one object a line?", path,
                                number, kMaxLineBytes));
    }
  }
  end_line();
}

}  // namespace coat
