#pragma once
// COAT's dynamic range expansion: FP8 codes of an optimizer moment's magnitudes, raised to a power per group.
//
// A group of moments x is stored as codes, its largest magnitude A and an exponent k:
//   |code| = E(kMax * (|x| / A)^k),   |x| = A * (|code| / kMax)^(1 / k).
// k spreads the group's own range over the format's; without expansion k is 1. COAT (arXiv:2410.19313) centers the
// magnitudes with c = sqrt(A * a) first, code = E((|x| / c)^k / s) with s = (A / c)^k / kMax: c cancels, so it is not
// stored, and neither is s. Unlike COAT's kernel this is defined for every group of finite values (see below).
// Moments that are not finite cannot occur: steps with such gradients are skipped before the update.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "numerics/elementary.h"
#include "numerics/fp8.h"
#include "numerics/host_device.h"

namespace coat {

/// log2(kMax^2 / 2): the range that COAT expands a group to, a little less than the format's own.
template <class F>
inline constexpr float kExpandedRangeLog2 = 0.0f;
template <>
inline constexpr float kExpandedRangeLog2<E4M3> = 16.6147098f;
template <>
inline constexpr float kExpandedRangeLog2<E5M2> = 30.6147098f;

/// The largest range that an exponent is made for, 2^64. Magnitudes further below the group's largest are rounded up
/// into it: one moment that decays for ever must not cost its neighbors their precision.
inline constexpr float kLargestRangeLog2 = 64.0f;

/// log2(x / y) for finite x, y > 0 whose quotient may be too large or too small for a float32.
COAT_HOST_DEVICE inline float Log2OfRatio(Log2Parts x, Log2Parts y) {
  return (x.exponent - y.exponent) + (x.fraction - y.fraction);
}

/// The exponent k of a group with largest magnitude `absmax` and smallest non-zero magnitude `absmin`:
/// floor(kExpandedRangeLog2 / log2(absmax / absmin) * expand_min) / expand_min, at least 1 / expand_min.
///
/// 1 for a group with one distinct magnitude and for a group of zeros. `expand_min` >= 1 is a whole number.
/// Rounding: the logarithms as in SplitLog2, then each operation once in float32.
template <class F>
COAT_HOST_DEVICE inline float ExpansionExponent(float absmax, float absmin, float expand_min) {
  const float ratio = Log2OfRatio(SplitLog2(absmax), SplitLog2(absmin));
  const float range = ratio > kLargestRangeLog2 ? kLargestRangeLog2 : ratio;
  if (absmax <= absmin || range <= 0.0f) return 1.0f;
  const float steps = std::floor(kExpandedRangeLog2<F> / range * expand_min);
  return std::max(steps, 1.0f) / expand_min;
}

/// The code of `expanded` >= 0 with the sign of `x`; 0 stays 0 and nothing else becomes 0 (the smallest code is 1).
template <class F>
COAT_HOST_DEVICE inline std::uint8_t SignedCode(float x, float expanded) {
  constexpr float kSmallest = std::bit_cast<float>(static_cast<std::uint32_t>(128 - F::kBias - F::kMantissaBits) << 23);
  const float magnitude = expanded > kSmallest ? expanded : kSmallest;
  return EncodeFp8<F>(x == 0.0f ? 0.0f : std::copysign(magnitude, x));
}

/// The code of `x`, |x| <= A, in a group with exponent k; `log2_absmax` is SplitLog2(A).
///
/// Rounding: log2(|x| / A), its product with k, Exp2 of that and the product with kMax each once in float32, then once
/// to F. x = +-A gets kMax's code.
template <class F>
COAT_HOST_DEVICE inline std::uint8_t EncodeExpanded(float x, Log2Parts log2_absmax, float exponent) {
  const float power = exponent * Log2OfRatio(SplitLog2(std::abs(x)), log2_absmax);
  return SignedCode<F>(x, F::kMax * Exp2(power));
}

/// The value of `code` in a group with largest magnitude A. Never above A in magnitude; 0 for code 0.
///
/// Rounding: code / kMax, Log2 of that, its product with 1 / k, Exp2 of that and the product with A each once in
/// float32.
template <class F>
COAT_HOST_DEVICE inline float DecodeExpanded(std::uint8_t code, float absmax, float reciprocal_of_exponent) {
  const float value = DecodeFp8<F>(code);
  const float magnitude = absmax * Exp2(Log2(std::abs(value) / F::kMax) * reciprocal_of_exponent);
  return value == 0.0f ? 0.0f : std::copysign(magnitude, value);
}

/// EncodeExpanded without expansion. Rounding: |x| / A and the product with kMax in float32, then once to F.
template <class F>
COAT_HOST_DEVICE inline std::uint8_t EncodeUnexpanded(float x, float absmax) {
  return SignedCode<F>(x, F::kMax * (std::abs(x) / absmax));
}

/// DecodeExpanded without expansion. Rounding: code / kMax and the product with A each once in float32.
template <class F>
COAT_HOST_DEVICE inline float DecodeUnexpanded(std::uint8_t code, float absmax) {
  return DecodeFp8<F>(code) / F::kMax * absmax;
}

}  // namespace coat
