#pragma once

#include <string_view>

namespace coat {

/// Writes to standard error at once. Where that cannot be (its terminal is closed, its disk is full) nothing happens:
/// there is nobody left to tell.
void WriteToStandardError(std::string_view text);

/// Occupies those of the descriptors 0, 1 and 2 that are closed, so that no file of ours gets their number and log
/// lines with it. Reading there finds the end, writing fails. Called once, first in main.
void OccupyStandardDescriptors();

}  // namespace coat
