#pragma once

#include <optional>

#include "config/optimizer_config.h"
#include "optim/clipping.h"

namespace coat {

/// Learning rate and clipping limits over a run, by step or by tokens as scheduler.units says.
///
/// `s` is the position of an update in that unit, counted including it: 1 or the tokens of one batch at the first.
/// Source: OLMo's schedulers.
class Scheduler {
 public:
  /// `run_length` in the scheduler's unit: S where t_max is null. A step-unit config takes steps, a token one tokens.
  /// Lengths in `config` are cut to whole numbers. Throws ConfigError for an inverse square root without a warm-up,
  /// which would be 0 throughout.
  Scheduler(const SchedulerConfig& config, double learning_rate, double run_length);

  double LearningRate(double s) const;
  /// The configured limits, times the warm-up factor while s <= grad_clip_warmup_steps. (OLMo applies it a step late.)
  ClippingLimits Limits(double s, std::optional<double> max_norm, std::optional<double> max_norm_ratio) const;

  /// Warms up again from 0 at `start`, over t_warmup, to where the schedule is then: for a model that was loaded
  /// without its optimizer's state. `start` in the scheduler's own unit. (OLMo counts it in steps in either unit.)
  void BoltOn(double start) { bolt_on_start_ = start; }

 private:
  double WithoutBoltOn(double s) const;

  SchedulerConfig config_;
  double learning_rate_;
  double run_length_;
  std::optional<double> bolt_on_start_;
};

}  // namespace coat
