#pragma once
// Kernels that hold whole rows in registers: which threads hold what, and sums over a row.

#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"

namespace coat::cuda {

/// Elements that a thread holds side by side.
constexpr int kUnit = 8;

/// A row of up to 256 kUnits kWarps elements: its kWarps warps hold kUnits units of 8 a thread, unit u of the row in
/// thread u % (32 kWarps). Rows of one warp share a block and need no barrier.
template <int kUnits, int kWarps>
struct RowLayout {
  static constexpr int kUnitsOfThread = kUnits;
  static constexpr int kThreadsOfRow = kWarps * kWarpSize;
  static constexpr int kRowsOfBlock = kWarps == 1 ? 4 : 1;
  static constexpr int kThreads = kThreadsOfRow * kRowsOfBlock;

  /// The block's first row of this thread; the next is RowStep() on.
  __device__ static std::int64_t FirstRow() {
    return static_cast<std::int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.x / kThreadsOfRow;
  }
  __device__ static std::int64_t RowStep() { return static_cast<std::int64_t>(gridDim.x) * kRowsOfBlock; }
  /// The first element of this thread's unit u in its row.
  __device__ static int Column(int u) {
    return (static_cast<int>(threadIdx.x) % kThreadsOfRow + u * kThreadsOfRow) * kUnit;
  }
  /// Sums over the threads of a row.
  using Sums = BlockSums<kThreadsOfRow>;
  /// Blocks for `rows` rows: enough to fill the device several times, so that the last ones end together.
  static unsigned Blocks(std::int64_t rows, const CudaDevice& device) {
    const std::int64_t blocks = DivideUp(rows, kRowsOfBlock);
    return static_cast<unsigned>(std::min<std::int64_t>(blocks, 64 * device.multiprocessors()));
  }
};

/// The sum of eight floats in a tree.
__device__ inline float SumOfUnit(const float (&values)[kUnit]) {
  return ((values[0] + values[4]) + (values[2] + values[6])) + ((values[1] + values[5]) + (values[3] + values[7]));
}

/// Calls f.template operator()<RowLayout<...>>() with the smallest layout for rows of `width`, of at most kMaxUnits (4
/// or 8) units a thread; false if there is none: width is not a multiple of 8 or too large.
template <int kMaxUnits, class Function>
bool VisitRowLayout(std::int64_t width, Function&& f) {
  static_assert(kMaxUnits == 4 || kMaxUnits == 8);
  constexpr std::int64_t kPerUnit = kUnit * kWarpSize;
  if (width % kUnit != 0) return false;
  if (width <= kPerUnit) return f.template operator()<RowLayout<1, 1>>(), true;
  if (width <= 2 * kPerUnit) return f.template operator()<RowLayout<2, 1>>(), true;
  if (width <= 4 * kPerUnit) return f.template operator()<RowLayout<4, 1>>(), true;
  if constexpr (kMaxUnits == 8) {
    if (width <= 8 * kPerUnit) return f.template operator()<RowLayout<8, 1>>(), true;
  }
  if (width <= 2 * kMaxUnits * kPerUnit) return f.template operator()<RowLayout<kMaxUnits, 2>>(), true;
  if (width <= 4 * kMaxUnits * kPerUnit) return f.template operator()<RowLayout<kMaxUnits, 4>>(), true;
  if (width <= 8 * kMaxUnits * kPerUnit) return f.template operator()<RowLayout<kMaxUnits, 8>>(), true;
  return false;
}

/// The same with the smallest layout of one unit a thread and at most kMaxWarps (8, 16 or 32) warps a row, so that what
/// belongs to columns takes few registers: weights, sums over rows.
template <int kMaxWarps, class Function>
bool VisitThinRowLayout(std::int64_t width, Function&& f) {
  static_assert(kMaxWarps == 8 || kMaxWarps == 16 || kMaxWarps == 32);
  constexpr std::int64_t kPerWarp = kUnit * kWarpSize;
  if (width % kUnit != 0) return false;
  if (width <= kPerWarp) return f.template operator()<RowLayout<1, 1>>(), true;
  if (width <= 2 * kPerWarp) return f.template operator()<RowLayout<1, 2>>(), true;
  if (width <= 4 * kPerWarp) return f.template operator()<RowLayout<1, 4>>(), true;
  if (width <= 8 * kPerWarp) return f.template operator()<RowLayout<1, 8>>(), true;
  if constexpr (kMaxWarps >= 16) {
    if (width <= 16 * kPerWarp) return f.template operator()<RowLayout<1, 16>>(), true;
  }
  if constexpr (kMaxWarps >= 32) {
    if (width <= 32 * kPerWarp) return f.template operator()<RowLayout<1, 32>>(), true;
  }
  return false;
}

}  // namespace coat::cuda
