#include "optim/scheduler.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace coat {

namespace {

/// What a schedule's formula takes.
struct Course {
  double peak;     // learning rate after the warm-up
  double last;     // alpha_f times the peak
  double warm_up;  // w
  double end;      // S
};

/// How much of the decay lies behind `s`, in [0, 1].
double Progress(const Course& course, double s) {
  return s >= course.end ? 1.0 : (s - course.warm_up) / (course.end - course.warm_up);
}

double HalfCosine(double progress) {
  return (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
}

double Cosine(const Course& course, double s) {
  return s >= course.end ? course.last : course.last + (course.peak - course.last) * HalfCosine(Progress(course, s));
}

double InverseSqrt(const Course& course, double s) {
  return course.peak * std::sqrt(course.warm_up / std::max(course.warm_up, s));
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config, double learning_rate, double run_length)
    : config_(config), learning_rate_(learning_rate), run_length_(run_length) {
  // As OLMo reads these keys.
  config_.t_warmup = std::trunc(config.t_warmup);
  if (config.t_max) config_.t_max = std::trunc(*config.t_max);
  if (config.grad_clip_warmup_steps) config_.grad_clip_warmup_steps = std::trunc(*config.grad_clip_warmup_steps);
  const bool inverse_sqrt =
      config.name == SchedulerName::kInverseSqrtWithWarmup || config.name == SchedulerName::kMaxScheduler;
  if (inverse_sqrt && config_.t_warmup < 1.0) {
    throw ConfigError(fmt::format("scheduler.t_warmup: found {}; accepted with scheduler.name: {}: at least 1",
                                  config.t_warmup, NameOf(config.name)));
  }
}

double Scheduler::LearningRate(double s) const {
  if (!bolt_on_start_) return WithoutBoltOn(s);
  const double start = *bolt_on_start_;
  const double end = start + config_.t_warmup;
  if (s >= end) return WithoutBoltOn(s);
  return s < start ? 0.0 : WithoutBoltOn(end) * (s - start) / (end - start);
}

double Scheduler::WithoutBoltOn(double s) const {
  const Course course = {.peak = learning_rate_,
                         .last = config_.alpha_f * learning_rate_,
                         .warm_up = config_.t_warmup,
                         .end = config_.t_max.value_or(run_length_)};
  if (config_.name == SchedulerName::kConstant) return course.peak;
  if (s < course.warm_up) {
    const double first = config_.warmup_min_lr.value_or(0.1 * course.peak);
    return first + (course.peak - first) * s / course.warm_up;
  }
  switch (config_.name) {
    case SchedulerName::kCosineWithWarmup:
      return Cosine(course, s);
    case SchedulerName::kLinearWithWarmup:
      return course.peak - (course.peak - course.last) * Progress(course, s);
    case SchedulerName::kInverseSqrtWithWarmup:
      return InverseSqrt(course, s);
    case SchedulerName::kMaxScheduler:
      return std::max(Cosine(course, s), InverseSqrt(course, s));
    case SchedulerName::kCosineLinearEnvelope: {
      const double progress = Progress(course, s);
      return course.last + (1.0 - progress) * (course.peak - course.last) * HalfCosine(progress);
    }
    case SchedulerName::kConstant:
    case SchedulerName::kConstantWithWarmup:
      break;
  }
  return course.peak;
}

ClippingLimits Scheduler::Limits(double s, std::optional<double> max_norm, std::optional<double> max_norm_ratio) const {
  const bool warming_up =
      config_.grad_clip_warmup_steps && config_.grad_clip_warmup_factor && s <= *config_.grad_clip_warmup_steps;
  const double factor = warming_up ? *config_.grad_clip_warmup_factor : 1.0;
  ClippingLimits limits;
  if (max_norm) limits.max_norm = *max_norm * factor;
  if (max_norm_ratio) limits.max_norm_ratio = *max_norm_ratio * factor;
  return limits;
}

}  // namespace coat
