#include "train/run_length.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace coat {

namespace {

std::int64_t StepsOfEpochs(const Duration& epochs, std::int64_t steps_per_epoch) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / steps_per_epoch;
  if (epochs.value > most) {
    throw ConfigError(fmt::format("max_duration: found {}; accepted with epochs of {} steps: at most {}",
                                  ToText(epochs), steps_per_epoch, ToText({most, Duration::Unit::kEpochs})));
  }
  return epochs.value * steps_per_epoch;
}

}  // namespace

std::int64_t MaxSteps(const Duration& max_duration, const RunStart& start) {
  switch (max_duration.unit) {
    case Duration::Unit::kSteps:
      return max_duration.value;
    case Duration::Unit::kTokens:
      return start.step + std::max<std::int64_t>(max_duration.value - start.tokens_seen, 0) / start.tokens_per_step;
    case Duration::Unit::kEpochs:
      return StepsOfEpochs(max_duration, start.steps_per_epoch);
  }
  return 0;
}

std::int64_t LastStep(const TrainConfig& config, const RunStart& start) {
  std::int64_t last = MaxSteps(config.max_duration, start);
  if (config.stop_at) last = std::min(last, *config.stop_at);
  if (config.stop_after && *config.stop_after < last - start.step) last = start.step + *config.stop_after;
  return last;
}

double LengthForScheduler(const TrainConfig& config, const RunStart& start) {
  const std::int64_t steps = MaxSteps(config.max_duration, start);
  if (config.scheduler.units == SchedulerUnits::kSteps) return static_cast<double>(steps);
  if (config.max_duration.unit == Duration::Unit::kTokens) return static_cast<double>(config.max_duration.value);
  if (config.max_duration.unit == Duration::Unit::kEpochs) {
    return static_cast<double>(steps) * static_cast<double>(start.tokens_per_step);
  }
  const std::int64_t left = std::max<std::int64_t>(steps - start.step, 0);
  return static_cast<double>(start.tokens_seen) +
         static_cast<double>(left) * static_cast<double>(start.tokens_per_step);
}

}  // namespace coat
