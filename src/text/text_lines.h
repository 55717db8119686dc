#pragma once
// The lines of a text file.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/input_file.h"

namespace coat {

/// Reads the lines of a file that are not blank. Memory use is that of the longest line and a chunk.
class LineReader {
 public:
  /// `input` must outlive the reader, and nothing else may read from it.
  explicit LineReader(InputFile& input);

  /// The next line, without its newline, which the last one may lack; false at the end. Valid until the next call.
  ///
  /// Throws IoError as InputFile, and for a line of more than 1 GiB.
  bool Next(std::string_view& line);
  /// Of the line that Next gave, from 1 on; blank ones count.
  std::int64_t number() const { return number_; }

 private:
  InputFile& input_;
  std::vector<std::byte> chunk_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of the next line, in buffer_
  std::int64_t number_ = 0;
  bool has_ended_ = false;
};

/// Calls `visit(line, number)` for each line of a file that is not blank. Throws as InputFile and LineReader.
void ForEachLine(const std::string& path, const std::function<void(std::string_view line, std::int64_t number)>& visit);

}  // namespace coat
