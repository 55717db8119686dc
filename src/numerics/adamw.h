#pragma once
// The update of one parameter by AdamW in float32, and the scalars of a step.

#include <cmath>
#include <cstdint>

#include "numerics/host_device.h"

namespace coat {

/// base^n for n >= 0 in double by squaring: the same bits on every machine, which std::pow does not promise.
constexpr double WholePower(double base, std::int64_t n) {
  double power = 1.0;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) power *= base;
    base *= base;
  }
  return power;
}

/// What a user sets, per step. The weight decay is a parameter's own.
struct AdamWSettings {
  double learning_rate = 0.0;
  double beta1 = 0.0;
  double beta2 = 0.0;
  double eps = 0.0;
  std::int64_t step = 1;  // 1 at the first update
};

/// What the element formula needs; each computed in double, then rounded once to float32.
struct AdamWScalars {
  float decay = 0.0f;  // learning_rate * weight_decay
  float beta1 = 0.0f;
  float one_minus_beta1 = 0.0f;
  float beta2 = 0.0f;
  float one_minus_beta2 = 0.0f;
  float eps = 0.0f;
  float step_size = 0.0f;        // learning_rate / (1 - beta1^step)
  float root_correction = 1.0f;  // sqrt(1 - beta2^step)

  constexpr AdamWScalars() = default;
  AdamWScalars(const AdamWSettings& settings, double weight_decay)
      : decay(static_cast<float>(settings.learning_rate * weight_decay)),
        beta1(static_cast<float>(settings.beta1)),
        one_minus_beta1(static_cast<float>(1.0 - settings.beta1)),
        beta2(static_cast<float>(settings.beta2)),
        one_minus_beta2(static_cast<float>(1.0 - settings.beta2)),
        eps(static_cast<float>(settings.eps)),
        step_size(static_cast<float>(settings.learning_rate / (1.0 - WholePower(settings.beta1, settings.step)))),
        root_correction(static_cast<float>(std::sqrt(1.0 - WholePower(settings.beta2, settings.step)))) {}
};

/// One parameter and its moments.
struct AdamWElement {
  float param = 0.0f;
  float exp_avg = 0.0f;
  float exp_avg_sq = 0.0f;
};

/// AdamW with decoupled weight decay:
///   m' = b1 m + (1 - b1) g;  v' = b2 v + (1 - b2) g^2;
///   p' = p - (lr wd p + lr / (1 - b1^t) * (m' / (sqrt(v') / sqrt(1 - b2^t) + eps))).
/// Rounding: every operation once in float32, as written. v' (or g^2 in it) stops at the largest float32, so that the
/// moments are finite for every finite gradient. `eps` must be above 0. The decay is inside the update, as in COAT:
/// OLMo multiplies p by 1 - lr wd, and what that number loses in float32 adds up over the steps.
COAT_HOST_DEVICE inline AdamWElement AdamWUpdate(const AdamWScalars& scalars, AdamWElement old, float grad) {
  constexpr float kLargest = 3.40282347e38f;
  AdamWElement next;
  next.exp_avg = scalars.beta1 * old.exp_avg + scalars.one_minus_beta1 * grad;
  const float exp_avg_sq = scalars.beta2 * old.exp_avg_sq + scalars.one_minus_beta2 * (grad * grad);
  next.exp_avg_sq = exp_avg_sq < kLargest ? exp_avg_sq : kLargest;
  const float denominator = std::sqrt(next.exp_avg_sq) / scalars.root_correction + scalars.eps;
  next.param = old.param - (scalars.decay * old.param + scalars.step_size * (next.exp_avg / denominator));
  return next;
}

}  // namespace coat
