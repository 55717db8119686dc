#pragma once
// Blocks of kernels that walk rows without sums over them.

#include <cuda_runtime_api.h>

#include <bit>
#include <cstdint>

#include "cuda/kernel/launch.h"

namespace coat::cuda {

/// Threads of a block of RowBlocks.
constexpr int kRowBlockThreads = 256;

/// Blocks of 256 threads over a matrix: threadIdx.x walks along a row, threadIdx.y counts the block's rows, and rows of
/// few steps share a block.
struct RowBlocks {
  dim3 grid;
  dim3 block;

  /// `steps`: threads that a row can use.
  RowBlocks(std::int64_t rows, std::int64_t steps) {
    const auto wanted = static_cast<std::uint64_t>(steps < kRowBlockThreads ? steps : kRowBlockThreads);
    block.x = static_cast<unsigned>(std::bit_ceil(wanted));
    block.y = kRowBlockThreads / block.x;
    grid.x = BlocksFor(rows, block.y);
  }
};

}  // namespace coat::cuda
