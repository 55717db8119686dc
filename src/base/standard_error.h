#pragma once

#include <string_view>

namespace coat {

/// Writes to standard error at once. Where that cannot be (its terminal is closed, its disk is full) nothing happens:
/// there is nobody left to tell.
void WriteToStandardError(std::string_view text);

}  // namespace coat
