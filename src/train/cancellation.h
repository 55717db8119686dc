#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/trainer_state.h"
#include "config/config.h"

namespace coat {

/// Why a run ends early, and how many steps it still takes after the checkpoint that is saved now.
struct Cancellation {
  std::string reason;
  std::int64_t extra_steps = 0;
  bool is_final = false;  // going on would be in vain
};

/// Whether time_limit or early_stopping_factor ends the run `seconds` after its first step began. `position` is the
/// state's place in the scheduler's unit. Source: OLMo's Trainer.check_if_cancelled.
std::optional<Cancellation> CheckCancellation(const TrainConfig& config, const TrainerState& state, double position,
                                              double seconds);

}  // namespace coat
