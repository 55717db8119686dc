#pragma once

#include <cmath>

#include "numerics/host_device.h"

namespace coat {

/// 1 / x for x in [2^-126, 2^126), correctly rounded; 0 for larger finite x, NaN for NaN; infinity is not for it.
/// What lies within 4 ulp of 2^126 counts as either, so x must not.
COAT_HOST_DEVICE inline float ReciprocalOrZero(float x) {
#ifdef __CUDA_ARCH__
  // The compiler's own division in this range, without its tests of the range. Beyond it `near` is flushed to 0, which
  // the step keeps.
  float near;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(near) : "f"(x));
  return std::fma(near, std::fma(-x, near, 1.0f), near);
#else
  return x >= 0x1p126f ? 0.0f : 1.0f / x;
#endif
}

}  // namespace coat
