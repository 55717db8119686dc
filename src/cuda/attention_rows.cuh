#pragma once
// What kernels of attention share whose blocks take a query (or a key) of one head: rows of a head, tiles of scores.

#include <cstdint>

#include "cuda/block_reduce.cuh"
#include "numerics/bfloat16.h"
#include "ops/attention.h"

namespace coat::cuda {

/// Threads of a block.
constexpr int kAttentionThreads = 256;
constexpr int kAttentionWarps = kAttentionThreads / kWarpSize;
/// Positions whose scores are in shared memory at a time: one a thread.
constexpr int kTile = kAttentionThreads;
/// Columns of a row that a thread sums: its own and every kAttentionThreads-th after it. Kernels come for kFewColumns,
/// which all usual heads fit into, and for kManyColumns.
constexpr int kFewColumns = 1;
constexpr int kManyColumns = static_cast<int>(kMaxHeadSize) / kAttentionThreads;

/// sum(a b) over `count` columns, by a warp.
template <class A, class B>
__device__ inline float WarpDot(const A* a, const B* b, int count) {
  float sum = 0.0f;
  for (int c = static_cast<int>(threadIdx.x) % kWarpSize; c < count; c += kWarpSize) {
    sum = fmaf(ToFloat(a[c]), ToFloat(b[c]), sum);
  }
  return WarpSum(sum);
}

/// row = the `count` columns at `source` in float32, by a block.
template <class T>
__device__ void LoadRow(const T* source, int count, float* row) {
  for (int c = static_cast<int>(threadIdx.x); c < count; c += kAttentionThreads) row[c] = ToFloat(source[c]);
}

template <class T, int kColumns>
__device__ void StoreRow(const float (&sums)[kColumns], float factor, int count, T* target) {
#pragma unroll
  for (int m = 0; m < kColumns; ++m) {
    const int c = static_cast<int>(threadIdx.x) + m * kAttentionThreads;
    if (c < count) target[c] = RoundTo<T>(sums[m] * factor);
  }
}

/// sums += sum over `rows` rows of weight * row, in ascending order.
template <class T, int kColumns>
__device__ void AddWeightedRows(const float* weights, const T* first, std::int64_t stride, int rows, int count,
                                float (&sums)[kColumns]) {
  constexpr int kRowsAtOnce = kColumns == kFewColumns ? 8 : 2;
#pragma unroll
  for (int m = 0; m < kColumns; ++m) {
    const int c = static_cast<int>(threadIdx.x) + m * kAttentionThreads;
    if (c >= count) break;
    float sum = sums[m];
#pragma unroll kRowsAtOnce
    for (int r = 0; r < rows; ++r) sum = fmaf(weights[r], ToFloat(first[r * stride + c]), sum);
    sums[m] = sum;
  }
}

/// The largest value over all threads of a block, in each of them; NaN are passed over.
__device__ inline float BlockMax(float value) {
  __shared__ float largest[kAttentionWarps];
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  if (threadIdx.x % kWarpSize == 0) largest[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  for (int w = 0; w < kAttentionWarps; ++w) value = fmaxf(value, largest[w]);
  __syncthreads();  // the next maximum may write
  return value;
}

/// Calls f.template operator()<kColumns>() with what a thread needs for a row of a head.
template <class Function>
void VisitColumns(std::int64_t head_size, Function&& f) {
  if (head_size <= kFewColumns * kAttentionThreads) {
    f.template operator()<kFewColumns>();
  } else {
    f.template operator()<kManyColumns>();
  }
}

}  // namespace coat::cuda
