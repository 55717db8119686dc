#pragma once

namespace coat::cuda {

/// The larger of `magnitude` >= 0 and |x|; NaN if either is. One instruction.
__device__ inline float LargerMagnitude(float magnitude, float x) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(magnitude), "f"(fabsf(x)));
  return larger;
}

}  // namespace coat::cuda
