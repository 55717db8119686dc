#pragma once

#include <cstdint>

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "engine/engine.h"
#include "output/console.h"
#include "train/save_folder.h"

namespace coat {

/// What a run takes over of the checkpoint that it starts from, besides the parameters.
struct TakeOver {
  bool optimizer_state = true;
  bool trainer_state = true;
  bool data_position = true;
  std::int64_t batches_to_skip = 0;
  bool warm_up_again = false;  // the optimizer starts anew where the schedule does not
};

/// For load_path what reset_optimizer_state, reset_trainer_state, restore_dataloader and fast_forward_batches say.
/// Where try_load_latest_save found a checkpoint of the run itself, everything: then these keys were obeyed when the
/// run began, and obeying them again would begin it anew.
TakeOver TakeOverOf(const TrainConfig& config, const SaveFolder& folder);

/// Gives the engine its parameters and optimizer state, of the folder's checkpoint to load or of the seed, and returns
/// where the run stands. Checkpoints in its lists are those that are still there.
///
/// Throws as CompareArchitectures, LoadParameters and LoadOptimizerState.
TrainerState StartRun(const TrainConfig& config, const SaveFolder& folder, const TakeOver& take_over, Engine& engine,
                      Console& console);

}  // namespace coat
