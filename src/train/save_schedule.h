#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "train/save_folder.h"

namespace coat {

/// The steps of the last checkpoints of a run in its folder; -1: there is none.
struct LastSaves {
  std::int64_t sharded = -1;  // kept or ephemeral
  std::int64_t unsharded = -1;
};

/// Those of the step where a run starts, by the state's lists.
LastSaves LastSavesOf(const TrainerState& state);

/// The checkpoints to save after `step`, in order.
std::vector<SaveKind> SavesDue(const TrainConfig& config, std::int64_t step);

/// Those to save when the run ends after `step`: an unsharded one if there is an interval for them, else a sharded one
/// if they are kept, unless it was saved just now. A run that was `stopped` by a signal has at least one of its last
/// step: a sharded one if they are kept, which is what `latest` names. Source: OLMo's Trainer.fit, for a signal what it
/// does where a run is canceled.
std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, std::int64_t step, const LastSaves& last, bool stopped);

}  // namespace coat
