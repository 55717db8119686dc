#pragma once

#include "comm/communicator.h"
#include "config/config.h"
#include "engine/compute_device.h"

namespace coat {

struct TrainOptions {
  DeviceOptions device;
};

enum class TrainOutcome {
  kFinished,
  kStopped,  // by a signal (output/stop_signal.h) or time_limit: saved, to go on later
};

/// Runs the training that a validated configuration describes, from start or checkpoint to its last step.
///
/// Writes into save_folder: config.yaml, metrics.jsonl, data-indices/, checkpoints. Log lines go to standard output.
/// Throws ConfigError, IoError or TrainingError; whatever was saved before stays whole.
///
/// All ranks call it together. A step's batch is the same sequences in the same order whatever the number of ranks;
/// rank r trains on every ranks.size()-th of them from r on. Rank 0 speaks and records for all. A signal to any rank,
/// and the time limit of any, stops all after the same step. An error is thrown on all ranks where it has
/// is_of_all_ranks; else the other ranks may wait for the one that threw it, which is to abort them.
TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options, Communicator& ranks);

}  // namespace coat
