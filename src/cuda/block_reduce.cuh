#pragma once
// Sums and largest magnitudes over a warp and over a block. Sums have one fixed tree, so they are the same in every
// run.

#include <bit>
#include <cstdint>

namespace coat::cuda {

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// The sum of all lanes, in each of them. All lanes call it.
__device__ inline float WarpSum(float value) {
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

/// The sum over all threads of a block of kThreads, a multiple of 32, in each of them. All threads call it. Threads are
/// numbered by threadIdx.x.
template <int kThreads>
__device__ inline float BlockSum(float value) {
  constexpr int kWarps = kThreads / kWarpSize;
  static_assert(kThreads % kWarpSize == 0 && kWarps <= kWarpSize);
  value = WarpSum(value);
  if constexpr (kWarps > 1) {
    __shared__ float sums[kWarps];
    if (threadIdx.x % kWarpSize == 0) sums[threadIdx.x / kWarpSize] = value;
    __syncthreads();
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    value = WarpSum(lane < kWarps ? sums[lane] : 0.0f);
    __syncthreads();  // the next sum may write
  }
  return value;
}

/// The reciprocal of a row's standard deviation or root mean square, as norms take it.
__device__ inline float RstdOf(float mean_square, float eps) {
  return 1.0f / sqrtf(mean_square + eps);
}

/// The bits of |value|: they order like magnitudes, NaN above all.
__device__ inline std::uint32_t MagnitudeBits(float value) {
  return std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
}

/// Raises *absmax to the largest magnitude of a block of kThreads with one atomic maximum; exact in any order. All
/// threads call it once, at the end of a kernel. Zero *absmax first: four bytes of cudaMemsetAsync.
template <int kThreads>
__device__ inline void ReportAbsMax(std::uint32_t magnitude_bits, float* absmax) {
  constexpr int kWarps = kThreads / kWarpSize;
  static_assert(kThreads % kWarpSize == 0 && kWarps <= kWarpSize);
  __shared__ std::uint32_t largest[kWarps];
  magnitude_bits = __reduce_max_sync(kAllLanes, magnitude_bits);
  if (threadIdx.x % kWarpSize == 0) largest[threadIdx.x / kWarpSize] = magnitude_bits;
  __syncthreads();
  if (threadIdx.x >= kWarpSize) return;
  magnitude_bits = __reduce_max_sync(kAllLanes, threadIdx.x < kWarps ? largest[threadIdx.x] : 0u);
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<unsigned*>(absmax), magnitude_bits);
}

}  // namespace coat::cuda
