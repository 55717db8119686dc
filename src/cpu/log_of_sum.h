#pragma once

#include "numerics/elementary.h"

namespace coat::cpu {

/// ln(sum) of a sum of exponentials, at least 1, within 5 ulp; NaN for a sum that is NaN or infinite.
inline float LogOfSum(float sum) {
  constexpr float kLn2 = 0.693147181f;
  const float zero_or_nan = sum - sum;  // Log2 takes finite numbers only
  return Log2(sum) * kLn2 + zero_or_nan;
}

}  // namespace coat::cpu
