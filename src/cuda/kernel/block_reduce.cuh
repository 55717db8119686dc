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

/// Sums over all threads of a block of kThreads, 32 times a power of two, in each of them, with one barrier a sum. All
/// threads call it. Threads are numbered by threadIdx.x. A kernel has one of a kind: its sums alternate between two
/// places in shared memory, so that a thread that is late still reads the one before.
template <int kThreads>
class BlockSums {
 public:
  __device__ float operator()(float value) {
    constexpr int kWarps = kThreads / kWarpSize;
    static_assert(kThreads % kWarpSize == 0 && kWarps <= kWarpSize && (kWarps & (kWarps - 1)) == 0);
    value = WarpSum(value);
    if constexpr (kWarps > 1) {
      __shared__ float sums[2][kWarps];
      if (threadIdx.x % kWarpSize == 0) sums[place_][threadIdx.x / kWarpSize] = value;
      __syncthreads();
      value = sums[place_][threadIdx.x % kWarps];
      place_ ^= 1;
#pragma unroll
      for (int distance = kWarps / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, distance);
      }
    }
    return value;
  }

 private:
  int place_ = 0;
};

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
