#pragma once
// SwiGLU's scalar formulas, in float32.

#include <bit>
#include <cmath>
#include <cstdint>

#include "numerics/host_device.h"
#include "numerics/reciprocal.h"

namespace coat {

namespace detail {

/// x within [-limit, limit]; NaN for NaN.
COAT_HOST_DEVICE inline float ClampedMagnitude(float x, float limit) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 860
  float clamped;  // one instruction: x's sign with the smaller magnitude
  asm("min.NaN.xorsign.abs.f32 %0, %1, %2;" : "=f"(clamped) : "f"(x), "f"(limit));
  return clamped;
#else
  return x > limit ? limit : (x < -limit ? -limit : x);
#endif
}

}  // namespace detail

/// 1 / (1 + e^-x). Relative error at most 3 * 2^-24 where the result is not below 2^-126; 0 below that, which is for x
/// below -87.34. NaN for NaN.
///
/// Exp(-x) of numerics/elementary.h with fewer instructions: no power of two in two factors, the sum rounded once.
COAT_HOST_DEVICE inline float Sigmoid(float x) {
  constexpr float kMagic = 12583039.0f;  // 1.5 * 2^23 + 127: a sum with it has a biased exponent in its low bits
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;  // the upper 16 bits of ln 2: n * kLn2High is exact
  constexpr float kLn2Low = 1.42860677e-06f;
  const float bounded = detail::ClampedMagnitude(x, 88.0f);
  const float biased = std::fma(bounded, -kLog2E, kMagic);
  const float n = biased - kMagic;  // whole, in [-127, 127]
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, -bounded));
  // e^r for |r| <= 0.3466 within 0.07 * 2^-24: 1 + r + r^2 q(r), q with the least largest error.
  float p = 1.38145988e-3f;
  p = std::fma(p, r, 8.36871658e-3f);
  p = std::fma(p, r, 4.16683890e-2f);
  p = std::fma(p, r, 0.166665211f);
  p = std::fma(p, r, 0.499999940f);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  // 2^n, or 0 in place of 2^-127, which 1 absorbs anyway.
  const float power = std::bit_cast<float>(std::bit_cast<std::uint32_t>(biased) << 23);
  return ReciprocalOrZero(std::fma(p, power, 1.0f));
}

/// SwiGLU of one element: silu(gate) * up.
COAT_HOST_DEVICE inline float Swiglu(float up, float gate) {
  return gate * Sigmoid(gate) * up;
}

struct SwigluGradient {
  float product;  // silu(gate) * up
  float d_up;
  float d_gate;
};

/// The product and the gradients of up and gate, from the gradient of the product.
COAT_HOST_DEVICE inline SwigluGradient SwigluBackwardElement(float up, float gate, float d_product) {
  const float sigmoid = Sigmoid(gate);
  const float silu = gate * sigmoid;
  const float d_silu = std::fma(silu, 1.0f - sigmoid, sigmoid);
  return {silu * up, silu * d_product, d_silu * (up * d_product)};
}

}  // namespace coat
