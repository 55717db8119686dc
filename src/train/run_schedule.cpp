#include "train/run_schedule.h"

#include <algorithm>
#include <optional>

#include "train/run_length.h"

namespace coat {

namespace {

RunStart StartOf(const TrainConfig& config, std::int64_t steps_per_epoch, const TrainerState& state) {
  return {.step = state.step,
          .tokens_seen = state.tokens_seen,
          .tokens_per_step = TokensPerStep(config),
          .steps_per_epoch = steps_per_epoch};
}

}  // namespace

RunSchedule::RunSchedule(const TrainConfig& config, std::int64_t steps_per_epoch, bool warm_up_again,
                         TrainerState& state)
    : config_(config),
      max_steps_(MaxSteps(config.max_duration, StartOf(config, steps_per_epoch, state))),
      last_step_(LastStep(config, StartOf(config, steps_per_epoch, state))),
      scheduler_(config.scheduler, config.optimizer.learning_rate,
                 LengthForScheduler(config, StartOf(config, steps_per_epoch, state))) {
  std::optional<std::int64_t>& start = state.extra.bolt_on_start;
  if (warm_up_again) start = static_cast<std::int64_t>(Position(state));
  if (start) scheduler_.BoltOn(static_cast<double>(*start));
}

void RunSchedule::StopAfter(std::int64_t step) {
  last_step_ = std::min(last_step_, step);
}

double RunSchedule::Position(const TrainerState& state) const {
  return static_cast<double>(config_.scheduler.units == SchedulerUnits::kSteps ? state.step : state.tokens_seen);
}

ClippingLimits RunSchedule::Limits(const TrainerState& state) const {
  return scheduler_.Limits(Position(state), config_.max_grad_norm, config_.max_grad_norm_ratio);
}

std::int64_t TokensPerStep(const TrainConfig& config) {
  return config.global_train_batch_size * config.model.max_sequence_length;
}

}  // namespace coat
