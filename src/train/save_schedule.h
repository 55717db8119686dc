#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "train/save_folder.h"

namespace coat {

/// The checkpoints to save after `step`, in order.
std::vector<SaveKind> SavesDue(const TrainConfig& config, std::int64_t step);

// Below, what is saved of the state's step is what the state's lists name.

/// Whether an unsharded checkpoint of the step where a run starts is to be saved: force_save_unsharded asks for it, or
/// the run resumes in its folder after having been killed between the sharded one of its step and this one.
bool UnshardedIsDueAtStart(const TrainConfig& config, const TrainerState& state, bool resumes_here);

/// Those to save when the run ends at the state's step: an unsharded one if there is an interval for them, else a
/// sharded one if they are kept, unless it is saved. A run that was `stopped` by a signal has at least one of its last
/// step: a sharded one if they are kept, which is what `latest` names. Source: OLMo's Trainer.fit, for a signal what it
/// does where a run is canceled.
std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, const TrainerState& state, bool stopped);

/// Whether a run that took no step is a finished one started again, which has what it saved at its end: of that, the
/// unsharded checkpoint is the last.
bool EndIsSaved(const TrainConfig& config, const TrainerState& state);

}  // namespace coat
