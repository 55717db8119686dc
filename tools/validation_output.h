#pragma once
// What a configuration's check has to say.

#include "config/validate.h"

namespace coat {

/// Prints a line on standard error for each warning and each key without effect.
void PrintValidation(const ValidationReport& report);

}  // namespace coat
