#pragma once

#include <cmath>
#include <cstdint>

#include "numerics/bfloat16.h"
#include "numerics/reciprocal.h"
#include "numerics/scale.h"

namespace coat::cuda {

/// A group's scale as it is stored, and its reciprocal, with which codes are made.
struct GroupScale {
  BFloat16 stored;
  float reciprocal;
};

/// GroupScaleFromAbsMax and 1 / scale, bit for bit up to which NaN the reciprocal is, without a branch or a test of the
/// divisions' ranges.
template <class F>
__device__ inline GroupScale GroupScaleOf(float absmax) {
  // absmax / kMax correctly rounded for every finite absmax, as far as the floor lets it show (checked for all of
  // them).
  constexpr float kReciprocalOfMax = 1.0f / F::kMax;
  const float near = absmax * kReciprocalOfMax;
  const float quotient = std::fma(std::fma(-F::kMax, near, absmax), kReciprocalOfMax, near);
  const float scale = absmax == 0.0f ? 1.0f : fmaxf(quotient, 1.17549435e-38f);
  const BFloat16 stored = ToBFloat16RoundedUp(scale);
  const float reciprocal = ReciprocalOrZero(ToFloat(stored));
  // Infinity and NaN are their own scales.
  const bool finite = absmax <= 3.40282347e38f;
  const float of_others = absmax != absmax ? absmax : 0.0f;
  return {finite ? stored : ToBFloat16(absmax), finite ? reciprocal : of_others};
}

}  // namespace coat::cuda
