#pragma once

#include "config/config.h"

namespace coat {

/// What a checkpoint of this model alone is described by: its architecture and where its keys were set, and defaults
/// for all else.
TrainConfig ConfigOfModel(const TrainConfig& config);

/// Throws ConfigError, as Validate does, unless this build has the model that `config` describes. The run's other
/// settings are not looked at.
void CheckModelConfig(const TrainConfig& config);

}  // namespace coat
