#pragma once
// The text of one line of a JSONL file.

#include <cstdint>
#include <string>
#include <string_view>

namespace coat {

/// The string in the field "text" of the JSON object in `line`, as UTF-8.
///
/// Throws IoError naming `path` and `line_number` where the line is not JSON that ParseJson (base/json.h) takes, is not
/// an object, or has no string in "text".
std::string TextOfJsonLine(std::string_view line, const std::string& path, std::int64_t line_number);

}  // namespace coat
