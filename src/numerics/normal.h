#pragma once
// Normally distributed numbers from random bits, by the inverse of the distribution.

#include <cmath>
#include <cstdint>

#include "numerics/elementary.h"
#include "numerics/host_device.h"

namespace coat {

/// The z >= 0 with P(|Z| < z) = `inside` for a standard normal Z; `inside` is 0 or in [2^-100, 1 - 2^-32].
///
/// Relative error at most 4e-7. Rational approximations of Wichura, "Algorithm AS 241: the percentage points of the
/// normal distribution" (1988), in float32; only the tail's probability is found in double.
COAT_HOST_DEVICE inline float NormalQuantile(double inside) {
  constexpr float kLn2 = 0.693147181f;
  const float half = static_cast<float>(0.5 * inside);
  if (half <= 0.425f) {
    const float r = 0.180625f - half * half;
    const float numerator =
        std::fma(std::fma(std::fma(59.109374720f, r, 159.29113202f), r, 50.434271938f), r, 3.3871327179f);
    const float denominator = std::fma(std::fma(std::fma(67.187563600f, r, 78.757757664f), r, 17.895169469f), r, 1.0f);
    return half * (numerator / denominator);
  }
  const float tail = static_cast<float>(0.5 - 0.5 * inside);
  const float r = std::sqrt(-kLn2 * Log2(tail)) - 1.6f;
  const float numerator =
      std::fma(std::fma(std::fma(0.17023821103f, r, 1.3067284816f), r, 2.7568153900f), r, 1.4234372777f);
  const float denominator = std::fma(std::fma(0.12021132975f, r, 0.73700164250f), r, 1.0f);
  return numerator / denominator;
}

/// A standard normal number cut off at +-`cutoff` from 32 random bits: the top bit is the sign, the others choose the
/// quantile. `inside` = P(|Z| < cutoff), as InsideOf gives it.
COAT_HOST_DEVICE inline float TruncatedNormal(std::uint32_t random, float inside, float cutoff) {
  const double uniform = (static_cast<double>(random & 0x7fffffffu) + 0.5) * 0x1p-31;
  const float magnitude = NormalQuantile(uniform * static_cast<double>(inside));
  const float bounded = magnitude < cutoff ? magnitude : cutoff;
  return (random & 0x80000000u) != 0 ? -bounded : bounded;
}

/// P(|Z| < cutoff), rounded to float32 so that it does not depend on the math library.
inline float InsideOf(float cutoff) {
  return static_cast<float>(std::erf(static_cast<double>(cutoff) * 0.70710678118654752440));
}

}  // namespace coat
