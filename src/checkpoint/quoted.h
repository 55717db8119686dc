#pragma once

#include <string>
#include <string_view>

namespace coat {

/// `text` in double quotes, safe to print whatever a file held: control and non-ASCII bytes, quotes and backslashes as
/// \xNN, and only the first 120 bytes of a longer one.
std::string Quoted(std::string_view text);

}  // namespace coat
