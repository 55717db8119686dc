#pragma once
// Tiles of 64 rows of a head in shared memory, and their products on tensor cores, for document_attention.cuh.
//
// A block has four warps. Warp w owns rows [16 w, 16 w + 16) of a [64, n] result; a lane has of it the rows
// RowOfLane(0) and RowOfLane(1), and in each tile of 8 columns the two from ColumnOfLane() on: the element
// [n][2 half + i] of its sums is (RowOfLane(half), 8 n + ColumnOfLane() + i).

#include <cstdint>

#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/tensor_core.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

constexpr int kDocumentThreads = 128;
constexpr int kDocumentRows = 64;

/// Rows of a head; those beyond the sequence and columns beyond the head are 0. The columns that fill a row keep eight
/// rows of a matrix in different banks.
template <int kColumns>
struct HeadTile {
  alignas(16) BFloat16 values[kDocumentRows][kColumns + 8];
};

/// What a warp sums: a result with kWidth columns.
template <int kWidth>
using WarpSums = FragmentC[kWidth / 8];

__device__ inline int LaneOfWarp() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}
__device__ inline int FirstRowOfWarp() {
  return static_cast<int>(threadIdx.x) / kWarpSize * 16;
}
__device__ inline int RowOfLane(int half) {
  return FirstRowOfWarp() + LaneOfWarp() / 4 + 8 * half;
}
__device__ inline int ColumnOfLane() {
  return LaneOfWarp() % 4 * 2;
}

/// tile = `rows` rows of `columns` columns at `source`, by a block. Rows are multiples of 16 bytes apart.
template <int kColumns>
__device__ void LoadTile(const BFloat16* source, std::int64_t stride, int rows, int columns, HeadTile<kColumns>& tile) {
  constexpr int kVectors = kColumns / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kDocumentRows * kVectors; i += kDocumentThreads) {
    const int row = i / kVectors;
    const int column = i % kVectors * 8;
    uint4 vector = make_uint4(0, 0, 0, 0);
    if (row < rows && column < columns) vector = *reinterpret_cast<const uint4*>(source + row * stride + column);
    *reinterpret_cast<uint4*>(&tile.values[row][column]) = vector;
  }
}

/// sums [16, 64] += the warp's rows of `a` times the transpose of `b`.
template <int kColumns>
__device__ void MultiplyByTransposed(const HeadTile<kColumns>& a, const HeadTile<kColumns>& b, WarpSums<64>& sums) {
  const int lane = LaneOfWarp();
#pragma unroll
  for (int k = 0; k < kColumns; k += 16) {
    FragmentA of_a;
    LoadMatrices(&a.values[FirstRowOfWarp() + lane % 16][k + lane / 16 * 8], of_a.words);
#pragma unroll
    for (int n = 0; n < kDocumentRows; n += 16) {
      std::uint32_t words[4];
      LoadMatrices(&b.values[n + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8], words);
      MultiplyAdd(of_a, {{words[0], words[1]}}, sums[n / 8]);
      MultiplyAdd(of_a, {{words[2], words[3]}}, sums[n / 8 + 1]);
    }
  }
}

/// sums [16, kColumns] += weights [16, 64], rounded to bfloat16, times `tile`.
template <int kColumns>
__device__ void MultiplyByTile(const WarpSums<64>& weights, const HeadTile<kColumns>& tile, WarpSums<kColumns>& sums) {
  const int lane = LaneOfWarp();
#pragma unroll
  for (int k = 0; k < kDocumentRows; k += 16) {
    const FragmentC& left = weights[k / 8];
    const FragmentC& right = weights[k / 8 + 1];
    const FragmentA of_weights = {{PackBFloat16(left[0], left[1]), PackBFloat16(left[2], left[3]),
                                   PackBFloat16(right[0], right[1]), PackBFloat16(right[2], right[3])}};
#pragma unroll
    for (int n = 0; n < kColumns; n += 16) {
      std::uint32_t words[4];
      LoadTransposedMatrices(&tile.values[k + lane % 16][n + lane / 16 * 8], words);
      MultiplyAdd(of_weights, {{words[0], words[1]}}, sums[n / 8]);
      MultiplyAdd(of_weights, {{words[2], words[3]}}, sums[n / 8 + 1]);
    }
  }
}

/// The rows of `sums` that lie before `rows`, and the columns before `columns`, times the factor of their half, rounded
/// once, to rows of bfloat16 from `target` on.
template <int kColumns>
__device__ void StoreTile(const WarpSums<kColumns>& sums, const float (&factors)[2], int rows, int columns,
                          BFloat16* target, std::int64_t stride) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = RowOfLane(half);
    if (row >= rows) continue;
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
      const int column = 8 * n + ColumnOfLane();
      if (column >= columns) continue;
      *reinterpret_cast<std::uint32_t*>(target + row * stride + column) =
          PackBFloat16(sums[n][2 * half] * factors[half], sums[n][2 * half + 1] * factors[half]);
    }
  }
}

/// The sum, and the largest, of a value over the four lanes that share rows.
__device__ inline float SumOfRow(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}
__device__ inline float LargestOfRow(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}

}  // namespace coat::cuda
