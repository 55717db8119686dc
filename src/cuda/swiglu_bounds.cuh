#pragma once
// Bounds that tell without a sigmoid whether a largest magnitude can be among SwiGLU's gradients and products.

#include "cuda/kernel/larger_magnitude.cuh"

namespace coat::cuda {

/// Upper bounds of magnitudes.
struct SwigluBounds {
  float gradient;  // of up's and gate's
  float product;
};

/// Of what SwigluBackwardElement gives for values of `up`, `gate` and `d_product` of at most these magnitudes, and of
/// gate at most `positive_gate` >= 0. The bounds: for a gate g > 0 silu is below g and below g (1/2 + g/4), its
/// derivative below 1.1 and below 1/2 + g/2; for g < 0 silu's magnitude is below |g| / 2 and below 0.2785, its
/// derivative's below 1/2. The constants here are larger by more than the roundings of SwigluBackwardElement; products
/// of what is larger are not smaller after rounding.
__device__ inline SwigluBounds SwigluBoundsOf(float up, float gate, float positive_gate, float d_product) {
  constexpr float kHalf = 0.50001f;
  const float of_positive = positive_gate * fminf(fmaf(0.25f, positive_gate, kHalf), 1.0f);
  const float silu = fmaxf(of_positive, fminf(kHalf * gate, 0.2786f));
  const float d_silu = fminf(fmaf(0.5f, positive_gate, kHalf), 1.1f);
  return {LargerMagnitude(silu * d_product, d_silu * (up * d_product)), silu * up};
}

}  // namespace coat::cuda
