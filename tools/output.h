#pragma once
// Results of commands, for people and for pipes.

#include <string>
#include <string_view>

namespace coat {

/// Writes all of `text` to standard output. Throws IoError if that fails, say because the disk is full.
void Print(std::string_view text);

/// Throws UsageError if `output` is the file `input`, which would be lost. Either may be absent.
void RefuseOutputThatIsInput(const std::string& output, const std::string& input);

}  // namespace coat
