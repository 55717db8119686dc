#pragma once
// Conversions between float32 and FP8 codes or bfloat16, several at a time, with the hardware's instructions.
//
// They give the same bytes as the scalar formulas of numerics/, NaN included; only a decoded NaN has another payload.

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/scale.h"

namespace coat::cuda {

/// kCount FP8 codes that are loaded and stored as one: 4, 8 or 16. The first is the lowest byte of the first word.
template <int kCount>
struct alignas(kCount) Codes {
  static_assert(kCount == 4 || kCount == 8 || kCount == 16);
  std::uint32_t words[kCount / 4];
};

/// Whether X is an FP8 format rather than float or BFloat16, and what an element of it is in memory.
template <class X>
inline constexpr bool kIsFp8 = std::is_same_v<X, E4M3> || std::is_same_v<X, E5M2>;
template <class X>
using StoredAs = std::conditional_t<kIsFp8<X>, std::uint8_t, X>;

namespace detail {

template <class F>
inline constexpr __nv_fp8_interpretation_t kInterpretation = std::is_same_v<F, E4M3> ? __NV_E4M3 : __NV_E5M2;

/// The two codes, the first in the low byte; for NaN some NaN code.
template <class F>
__device__ inline std::uint32_t EncodePairUnlessNaN(float first, float second) {
#if __CUDA_ARCH__ >= 890
  return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, kInterpretation<F>);
#else
  return EncodeFp8<F>(first) | static_cast<std::uint32_t>(EncodeFp8<F>(second)) << 8;
#endif
}

}  // namespace detail

namespace detail {

/// The codes of `x`; for NaN some NaN code.
template <class F, int kCount>
__device__ inline Codes<kCount> EncodeUnlessNaN(const float (&x)[kCount]) {
  Codes<kCount> codes;
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    codes.words[i / 4] = EncodePairUnlessNaN<F>(x[i], x[i + 1]) | EncodePairUnlessNaN<F>(x[i + 2], x[i + 3]) << 16;
  }
  return codes;
}

}  // namespace detail

/// The codes of `x` under a scale given by its reciprocal, as EncodeScaled gives them. A product that is NaN has the
/// bits 0x7fffffff, whose code is 0x7f: nothing has to be tested.
template <class F, int kCount>
__device__ inline Codes<kCount> EncodeScaled(const float (&x)[kCount], float reciprocal_of_scale) {
  float scaled[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) scaled[i] = x[i] * reciprocal_of_scale;
  return detail::EncodeUnlessNaN<F>(scaled);
}

/// The same with a scale for each element.
template <class F, int kCount>
__device__ inline Codes<kCount> EncodeScaled(const float (&x)[kCount], const float (&reciprocals_of_scales)[kCount]) {
  float scaled[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) scaled[i] = x[i] * reciprocals_of_scales[i];
  return detail::EncodeUnlessNaN<F>(scaled);
}

/// The values of codes, as DecodeFp8 gives them; of a NaN neither sign nor payload is kept.
template <class F, int kCount>
__device__ inline void Decode(const Codes<kCount>& codes, float (&x)[kCount]) {
#if __CUDA_ARCH__ >= 890
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    const auto pair = static_cast<__nv_fp8x2_storage_t>(codes.words[i / 4] >> (i % 4 * 8));
    // Every value of either format is a half.
    const float2 values = __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(pair, detail::kInterpretation<F>)));
    x[i] = values.x;
    x[i + 1] = values.y;
  }
#else
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    x[i] = DecodeFp8<F>(static_cast<std::uint8_t>(codes.words[i / 4] >> (i % 4 * 8)));
  }
#endif
}

/// Two floats rounded to bfloat16 as ToBFloat16 does, the first in the low half.
__device__ inline std::uint32_t RoundToBFloat16Pair(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  std::uint32_t rounded;  // read as a whole: put together from its halves it would take more instructions
  std::memcpy(&rounded, &pair, sizeof(rounded));
  // Rounding keeps signs, but a NaN's is lost: signs are put in again, which changes nothing else.
  const std::uint32_t signs = __byte_perm(__float_as_uint(first), __float_as_uint(second), 0x7632) & 0x80008000u;
  return rounded | signs;
}

}  // namespace coat::cuda
