#pragma once
// Arguments of the command line that set keys.

#include <span>
#include <string>

#include "config/node.h"

namespace coat {

/// Puts "--optimizer.learning_rate=1e-4", "--data.paths=[a.npy,b.npy]", "--save_overwrite" (no `=`: true, and implied)
/// on `root`, in order. Dashes around the name are dropped and `-` in it means `_`; the value is YAML; mappings merge
/// by key, anything else is replaced. Throws ConfigError, "on the command line: --x.y", for a name without letters and
/// for a value that is not YAML.
void ApplyOverrides(std::span<const std::string> overrides, Node& root);

}  // namespace coat
