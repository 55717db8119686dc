#pragma once
// The update of one parameter by LionW in float32, and the scalars of a step.

#include <cmath>

#include "numerics/host_device.h"

namespace coat {

struct LionWSettings {
  double learning_rate = 0.0;
  double beta1 = 0.0;
  double beta2 = 0.0;
};

struct LionWScalars {
  float decay = 0.0f;  // learning_rate * weight_decay
  float beta1 = 0.0f;
  float one_minus_beta1 = 0.0f;
  float beta2 = 0.0f;
  float one_minus_beta2 = 0.0f;
  float learning_rate = 0.0f;

  constexpr LionWScalars() = default;
  LionWScalars(const LionWSettings& settings, double weight_decay)
      : decay(static_cast<float>(settings.learning_rate * weight_decay)),
        beta1(static_cast<float>(settings.beta1)),
        one_minus_beta1(static_cast<float>(1.0 - settings.beta1)),
        beta2(static_cast<float>(settings.beta2)),
        one_minus_beta2(static_cast<float>(1.0 - settings.beta2)),
        learning_rate(static_cast<float>(settings.learning_rate)) {}
};

struct LionWElement {
  float param = 0.0f;
  float exp_avg = 0.0f;
};

/// Lion (arXiv:2302.06675) with decoupled weight decay:
///   u = b1 m + (1 - b1) g;  p' = p - (lr wd p + lr * sign(u));  m' = b2 m + (1 - b2) g.
/// Rounding: every operation once in float32, as written. sign(0) is 0.
COAT_HOST_DEVICE inline LionWElement LionWUpdate(const LionWScalars& scalars, LionWElement old, float grad) {
  const float direction = scalars.beta1 * old.exp_avg + scalars.one_minus_beta1 * grad;
  const float signed_rate = direction == 0.0f ? 0.0f : std::copysign(scalars.learning_rate, direction);
  return {old.param - (scalars.decay * old.param + signed_rate),
          scalars.beta2 * old.exp_avg + scalars.one_minus_beta2 * grad};
}

}  // namespace coat
