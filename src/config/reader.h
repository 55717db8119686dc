#pragma once
// A resolved tree to a TrainConfig.

#include "config/config.h"
#include "config/node.h"

namespace coat {

/// Reads every key of `root` (a mapping without references) into a TrainConfig that starts with the defaults.
/// Throws ConfigError with file, line, key path and what is accepted for a key that does not exist and for a value of
/// another type.
TrainConfig ReadTrainConfig(const Node& root);

}  // namespace coat
