#pragma once
// Results of commands, for people and for pipes.

#include <string_view>

namespace coat {

/// Writes all of `text` to standard output. Throws IoError if that fails, say because the disk is full.
void Print(std::string_view text);

}  // namespace coat
