#pragma once
// Parts of a matrix on their way to threads through shared memory, so that loads for later need no registers.

#include <cuda_pipeline_primitives.h>

#include <cstdint>

#include "cuda/packed.cuh"
#include "cuda/transpose_tile.cuh"

namespace coat::cuda {

/// Room for a patch of 4 rows and 8 columns of each of kThreads threads; each reads only what it has copied. Addresses
/// of rows are multiples of 16 bytes.
template <class T, int kThreads>
struct PatchCopy {
  static constexpr int kColumns = 8;
  static constexpr int kWords = Packed<T, kColumns>::kWords;

  uint4 words[kPatchRows][kWords][kThreads];

  /// Starts to copy what lies inside of x [n, width] of the patch that begins at `row` and `column`.
  __device__ void Start(const T* x, std::int64_t row, std::int64_t column, std::int64_t n, std::int64_t width) {
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
      if (row + r >= n || column >= width) continue;
      const auto* const from = reinterpret_cast<const uint4*>(x + (row + r) * width + column);
#pragma unroll
      for (int i = 0; i < kWords; ++i) __pipeline_memcpy_async(&words[r][i][threadIdx.x], from + i, sizeof(uint4));
    }
    __pipeline_commit();
  }

  /// The patch once it is there; zeros beyond x.
  __device__ void Read(std::int64_t row, std::int64_t column, std::int64_t n, std::int64_t width,
                       Packed<T, kColumns> (&patch)[kPatchRows]) const {
    __pipeline_wait_prior(0);
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
      patch[r] = {};
      if (row + r >= n || column >= width) continue;
#pragma unroll
      for (int i = 0; i < kWords; ++i) patch[r].words[i] = words[r][i][threadIdx.x];
    }
  }
};

}  // namespace coat::cuda
