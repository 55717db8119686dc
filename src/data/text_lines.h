#pragma once
// The lines of a text file.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace coat {

/// Calls `visit(line, number)` for each line of a file that is not blank, numbered from 1, without its newline. gzip is
/// decompressed. Memory use is that of the longest line.
///
/// Throws IoError as InputFile, and for a line of more than 1 GiB.
void ForEachLine(const std::string& path, const std::function<void(std::string_view line, std::int64_t number)>& visit);

}  // namespace coat
