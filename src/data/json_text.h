#pragma once
// The text of one line of a JSONL file.

#include <cstdint>
#include <string>
#include <string_view>

namespace coat {

/// The string in the field "text" of the JSON object in `line`, as UTF-8.
///
/// Throws IoError naming `path`, `line_number` and column where the line is not JSON (or not UTF-8), is not an object,
/// or has no string in "text".
std::string TextOfJsonLine(std::string_view line, const std::string& path, std::int64_t line_number);

}  // namespace coat
