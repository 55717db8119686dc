#pragma once

#include <cstdint>

#include "config/config.h"

namespace coat {

/// Where a run stands when its length is worked out.
struct RunStart {
  std::int64_t step = 0;
  std::int64_t tokens_seen = 0;
  std::int64_t tokens_per_step = 0;
  std::int64_t steps_per_epoch = 0;
};

/// The step after which max_duration is reached: that many steps; or as many more whole batches as the tokens allow
/// that are left; or all whole batches of that many epochs. Throws ConfigError for more epochs than steps fit 63 bits.
/// Source: OLMo's Trainer.max_steps.
std::int64_t MaxSteps(const Duration& max_duration, const RunStart& start);

/// The step after which the run stops: the smallest of MaxSteps, stop_at and start.step + stop_after.
/// (OLMo goes on for ten steps beyond max_steps.)
std::int64_t LastStep(const TrainConfig& config, const RunStart& start);

/// The run's length in the scheduler's unit: MaxSteps; or max_duration's tokens, those of its epochs, or those seen and
/// those of the steps that are left. Source: OLMo's Trainer.max_steps and max_tokens.
double LengthForScheduler(const TrainConfig& config, const RunStart& start);

}  // namespace coat
