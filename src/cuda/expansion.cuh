#pragma once
// Dynamic range expansion (numerics/expansion.h) with the hardware's approximate logarithms, powers and reciprocals, by
// a warp that has a group between its lanes. Errors are within the bounds that ops/coat_adamw.h states.

#include <cstddef>
#include <cstdint>

#include "cuda/kernel/block_reduce.cuh"
#include "numerics/expansion.h"

namespace coat::cuda {

// Approximations. Subnormal arguments and results count as 0 where not said otherwise.

/// log2(x), x >= 0: an error of 2^-22, or 2^-22 of the result outside (1/2, 2). -infinity for 0.
__device__ inline float ApproximateLog2(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// 2^x with a relative error of 2^-22. 0 for -infinity.
__device__ inline float ApproximateExp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// 1 / x with a relative error of 2^-23. Infinity for 0.
__device__ inline float ApproximateReciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// The root of x with a relative error of 2^-23, subnormal numbers included.
__device__ inline float ApproximateRoot(float x) {
  float result;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// log2(value / kMax) of all magnitudes of F, once for each lane so that no two lanes meet in a bank of shared memory.
/// Half the special functions of decoding are saved by looking logarithms up.
struct LogTable {
  static constexpr int kFloats = 128 * kWarpSize;

  /// All threads of a block fill it together.
  template <class F>
  __device__ static void Fill(float* table) {
    for (int i = static_cast<int>(threadIdx.x); i < kFloats; i += static_cast<int>(blockDim.x)) {
      table[i] = log2f(DecodeFp8<F>(static_cast<std::uint8_t>(i / kWarpSize)) / F::kMax);
    }
  }

  /// The lane's column of a table, for Find.
  __device__ static const std::byte* Column(const float* table) {
    return reinterpret_cast<const std::byte*>(table + threadIdx.x % kWarpSize);
  }

  /// The logarithm for byte `i` of a word of codes; -infinity for 0.
  __device__ static float Find(const std::byte* column, std::uint32_t codes, int i) {
    // The magnitude's seven bits, times the 128 bytes of a row.
    const std::uint32_t row = (i == 0 ? codes << 7 : codes >> (8 * i - 7)) & (0x7fu << 7);
    return *reinterpret_cast<const float*>(column + row);
  }
};

/// The value of byte `i` of a word of codes in a group with largest magnitude `absmax`; `log` from a LogTable.
template <bool kSigned>
__device__ inline float DecodeApproximately(std::uint32_t codes, int i, float log, float absmax,
                                            float reciprocal_of_exponent) {
  const float magnitude = absmax * ApproximateExp2(log * reciprocal_of_exponent);
  if constexpr (!kSigned) return magnitude;
  return __uint_as_float(__float_as_uint(magnitude) | ((codes << (24 - 8 * i)) & 0x80000000u));
}

/// The largest and the smallest non-zero magnitude of some elements.
class Extremes {
 public:
  __device__ void Add(float x) {
    largest_ = fmaxf(largest_, fabsf(x));
    // Twice the bits loses the sign, and 0 wraps to the largest number.
    smallest_ = min(smallest_, 2 * __float_as_uint(x) - 2);
  }
  /// Of all lanes together, in each of them.
  __device__ void Reduce() {
    largest_ = __uint_as_float(__reduce_max_sync(kAllLanes, __float_as_uint(largest_)));
    smallest_ = __reduce_min_sync(kAllLanes, smallest_);
  }
  __device__ float absmax() const { return largest_; }
  /// 0 if all are 0.
  __device__ float absmin() const { return __uint_as_float((smallest_ + 2) / 2); }

 private:
  float largest_ = 0.0f;
  std::uint32_t smallest_ = 0xfffffffeu;
};

/// How a group is encoded. Magnitudes are first multiplied by a power of two that brings absmax near 1, if it is far.
struct Expansion {
  float scale;
  float reciprocal;  // of absmax * scale
  float exponent;
};

/// `expand_min` and its reciprocal as in ExpansionExponent.
template <class F>
__device__ inline Expansion ExpansionOf(const Extremes& extremes, float expand_min, float reciprocal_of_expand_min) {
  const float absmax = extremes.absmax(), absmin = extremes.absmin();
  Expansion expansion;
  expansion.scale = absmax < 0x1p-60f ? 0x1p64f : (absmax > 0x1p60f ? 0x1p-64f : 1.0f);
  expansion.reciprocal = ApproximateReciprocal(absmax * expansion.scale);
  const float log = ApproximateLog2(absmin * expansion.scale * expansion.reciprocal);  // -range
  const float range = fminf(-log, kLargestRangeLog2);
  const float steps = floorf(kExpandedRangeLog2<F> * expand_min * ApproximateReciprocal(range));
  const bool single = absmax <= absmin || !(range > 0.0f);
  expansion.exponent = single ? 1.0f : fmaxf(steps, 1.0f) * reciprocal_of_expand_min;
  return expansion;
}

/// What is rounded to x's code: kMax * (|x| / absmax)^k, at least the smallest code's value, with x's sign; 0 for 0.
/// `scaled` is x times the group's scale.
template <class F, bool kSigned>
__device__ inline float ExpandApproximately(float x, float scaled, const Expansion& expansion) {
  constexpr float kLog2OfMax = F::kBias == E4M3::kBias ? 8.80735492f : 15.8073549f;
  constexpr float kSmallest = std::bit_cast<float>(static_cast<std::uint32_t>(128 - F::kBias - F::kMantissaBits) << 23);
  const float log = ApproximateLog2(fabsf(scaled) * expansion.reciprocal);
  const float magnitude = fmaxf(ApproximateExp2(fmaf(expansion.exponent, log, kLog2OfMax)), kSmallest);
  return x == 0.0f ? 0.0f : (kSigned ? copysignf(magnitude, x) : magnitude);
}

}  // namespace coat::cuda
