#pragma once

#include "config/config.h"
#include "train/compute_device.h"

namespace coat {

struct TrainOptions {
  DeviceOptions device;
};

enum class TrainOutcome {
  kFinished,
  kStoppedBySignal,  // SIGINT or SIGTERM: the step was finished and saved
};

/// Runs the training that a validated configuration describes, from start or checkpoint to its last step.
///
/// Writes into save_folder: config.yaml, metrics.jsonl, data-indices/, checkpoints. Log lines go to standard output.
/// Throws ConfigError, IoError or TrainingError; whatever was saved before stays whole.
TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options);

}  // namespace coat
