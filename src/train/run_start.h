#pragma once

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "train/console.h"
#include "train/engine.h"
#include "train/save_folder.h"

namespace coat {

/// Gives the engine its parameters and optimizer state, of the folder's checkpoint to load or of the seed, and returns
/// where the run stands. Checkpoints in its lists are those that are still there.
///
/// Throws as LoadParameters and LoadOptimizerState.
TrainerState StartRun(const TrainConfig& config, const SaveFolder& folder, Engine& engine, Console& console);

}  // namespace coat
