#pragma once
// What kernels of attention share whose blocks take a query (or a key) of one head: rows of a head, tiles of scores.

#include <cstdint>
#include <limits>

#include "cuda/kernel/block_reduce.cuh"
#include "numerics/bfloat16.h"
#include "numerics/elementary.h"
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

/// The softmax of a row of scores: the largest of them, and the sum of exp(score - largest).
struct RowSoftmax {
  float largest;
  float sum;
};

/// One query against `count` keys and values, the first of which are given, by a block: sums += softmax weights times
/// values, times the softmax's sum. Tiles of kTile keys; a warp makes the scores of every kAttentionWarps-th key, then
/// a thread sums columns of values. `query`, which LoadRow may just have written, and `weights` [kTile] are shared
/// memory.
template <class T, int kColumns>
__device__ RowSoftmax AttendToRows(const float* query, const T* keys, const T* values, std::int64_t stride,
                                   std::int64_t count, int size, float scale, float* weights, float (&sums)[kColumns]) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  RowSoftmax softmax = {-std::numeric_limits<float>::infinity(), 0.0f};
  BlockSums<kAttentionThreads> sum_of_block;
  for (std::int64_t first = 0; first < count; first += kTile) {
    const int rows = static_cast<int>(min(static_cast<std::int64_t>(kTile), count - first));
    __syncthreads();  // the query is there; the weights before these are done with
    for (int r = warp; r < rows; r += kAttentionWarps) {
      const float score = WarpDot(query, keys + (first + r) * stride, size) * scale;
      if (threadIdx.x % kWarpSize == 0) weights[r] = score;
    }
    __syncthreads();
    const bool visible = static_cast<int>(threadIdx.x) < rows;
    const float score = visible ? weights[threadIdx.x] : -std::numeric_limits<float>::infinity();
    const float new_largest = fmaxf(softmax.largest, BlockMax(score));
    const float factor = Exp(softmax.largest - new_largest);
    const float weight = visible ? Exp(score - new_largest) : 0.0f;
    weights[threadIdx.x] = weight;
    softmax.sum = softmax.sum * factor + sum_of_block(weight);
    softmax.largest = new_largest;
#pragma unroll
    for (int m = 0; m < kColumns; ++m) sums[m] *= factor;
    AddWeightedRows(weights, values + first * stride, stride, rows, size, sums);
  }
  return softmax;
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
