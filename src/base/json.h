#pragma once
// JSON that others have written.

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace coat {

/// What the whole of `text` is as JSON.
///
/// Throws IoError with a message that wants its file in front of it: "is not JSON from column 13 on" (and from the
/// line, beyond the first; bytes count as columns), also where a null byte follows; a number too large for a double;
/// lists and objects in one another more than 1000 deep, which would be too deep for those who walk through it.
nlohmann::json ParseJson(std::string_view text);

}  // namespace coat
