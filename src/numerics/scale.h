#pragma once
// Scales of FP8 tensors: the one place with their rules.

#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/host_device.h"

namespace coat {

/// The scale of a tensor or group whose largest magnitude is `absmax` >= 0: absmax / kMax in float32, at least 2^-126.
///
/// 1 for an absmax of 0. The floor keeps 1 / scale finite; it matters only for magnitudes below 6e-34. A NaN absmax
/// gives that NaN, which a division need not, an infinite one infinity: what is not finite stays visible downstream.
template <class F>
COAT_HOST_DEVICE constexpr float ScaleFromAbsMax(float absmax) {
  constexpr float kSmallestNormal = 1.17549435e-38f;
  const float quotient = absmax / F::kMax;
  const float scale = quotient < kSmallestNormal ? kSmallestNormal : quotient;
  const float scale_or_nan = absmax != absmax ? absmax : scale;
  return absmax == 0.0f ? 1.0f : scale_or_nan;
}

/// The same, rounded up to bfloat16, so that absmax / scale stays within the format. Codes are made with this value.
template <class F>
COAT_HOST_DEVICE constexpr BFloat16 GroupScaleFromAbsMax(float absmax) {
  const float scale = ScaleFromAbsMax<F>(absmax);
  // NaN and infinity pass through ToBFloat16; rounding their bits up would change what they are.
  return scale <= 3.38953139e38f ? ToBFloat16RoundedUp(scale) : ToBFloat16(scale);
}

/// The code of `x` under a scale: x * (1 / scale) rounded once to F, the reciprocal and the product in float32.
///
/// The caller computes the reciprocal once for all codes that share the scale. Where absmax * (1 / scale) exceeds kMax
/// by a rounding, the code saturates to kMax.
template <class F>
COAT_HOST_DEVICE constexpr std::uint8_t EncodeScaled(float x, float reciprocal_of_scale) {
  return EncodeFp8<F>(x * reciprocal_of_scale);
}

}  // namespace coat
