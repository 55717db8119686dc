#pragma once

#include <cstdint>

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "optim/scheduler.h"

namespace coat {

/// How long a run goes on, and its learning rate and clipping limits on the way.
class RunSchedule {
 public:
  /// `state` is where the run starts; `warm_up_again`: it starts from a checkpoint without the optimizer's state, and
  /// the state is marked so that a later run knows. Throws as Scheduler.
  RunSchedule(const TrainConfig& config, std::int64_t steps_per_epoch, bool warm_up_again, TrainerState& state);

  /// The step after which max_duration is reached, and that after which the run stops.
  std::int64_t max_steps() const { return max_steps_; }
  std::int64_t last_step() const { return last_step_; }
  /// Stops after `step` at the latest.
  void StopAfter(std::int64_t step);

  /// The state's place in the scheduler's unit.
  double Position(const TrainerState& state) const;
  double LearningRate(const TrainerState& state) const { return scheduler_.LearningRate(Position(state)); }
  ClippingLimits Limits(const TrainerState& state) const;

 private:
  TrainConfig config_;
  std::int64_t max_steps_;
  std::int64_t last_step_;
  Scheduler scheduler_;
};

/// Tokens of a step on all ranks.
std::int64_t TokensPerStep(const TrainConfig& config);

}  // namespace coat
