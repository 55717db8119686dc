#pragma once
// Sums over the rows of a matrix, in an order that its shape alone decides: up to 512 partial sums of a column first,
// which lie in the workspace, then their sum.

#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "base/tensor.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/launch.h"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

/// Rows of partial sums at the most.
constexpr int kMaxPartialSums = 512;

/// Threads side by side, a column each, and threads that share a column.
constexpr int kColumnsOfBlock = 32;
constexpr int kThreadsOfSum = 32;
constexpr int kThreadsOfPartialSum = 8;

/// The sum over threadIdx.y of a block of kColumnsOfBlock x kThreads, in a tree; in the threads of threadIdx.y 0.
template <int kThreads>
__device__ inline float SumOfColumn(float value) {
  __shared__ float values[kThreads][kColumnsOfBlock];
  values[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
#pragma unroll
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.y < half) values[threadIdx.y][threadIdx.x] += values[threadIdx.y + half][threadIdx.x];
    __syncthreads();
  }
  return values[0][threadIdx.x];
}

/// sums[column] = the sum of partials[0 .. count)[column], or added to.
template <class G>
__global__ void __launch_bounds__(kColumnsOfBlock* kThreadsOfSum)
    AddPartialSumsKernel(const float* partials, int count, std::int64_t width, bool accumulate, G* sums) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumnsOfBlock + threadIdx.x;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < count; i += kThreadsOfSum) sum += partials[i * width + column];
  }
  sum = SumOfColumn<kThreadsOfSum>(sum);
  if (threadIdx.y == 0 && column < width) sums[column] = RoundTo<G>(accumulate ? ToFloat(sums[column]) + sum : sum);
}

/// partials[blockIdx.y][column] = the sum of term(row, column) over every gridDim.y-th run of 8 rows.
template <class Term>
__global__ void __launch_bounds__(kColumnsOfBlock* kThreadsOfPartialSum)
    PartialSumsKernel(Term term, std::int64_t rows, std::int64_t width, float* partials) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumnsOfBlock + threadIdx.x;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.y) * kThreadsOfPartialSum;
  float sum = 0.0f;
  if (column < width) {
    for (std::int64_t row = blockIdx.y * kThreadsOfPartialSum + threadIdx.y; row < rows; row += step) {
      sum += term(row, column);
    }
  }
  sum = SumOfColumn<kThreadsOfPartialSum>(sum);
  if (threadIdx.y == 0 && column < width) partials[blockIdx.y * width + column] = sum;
}

/// Room for `count` rows of partial sums.
inline float* PartialSums(CudaDevice& device, std::int64_t count, std::int64_t width) {
  return reinterpret_cast<float*>(device.GrowWorkspace(count * width * static_cast<std::int64_t>(sizeof(float))));
}

/// sums [W] f32 or bf16 = the sum of `count` rows of partial sums, or added to.
inline void AddPartialSums(CudaDevice& device, const float* partials, std::int64_t count, bool accumulate,
                           TensorView sums) {
  const std::int64_t width = sums.elements();
  const auto blocks = BlocksFor(width, kColumnsOfBlock);
  VisitPlain(sums.dtype(), [&]<class G>() {
    AddPartialSumsKernel<<<blocks, dim3(kColumnsOfBlock, kThreadsOfSum), 0, device.stream()>>>(
        partials, static_cast<int>(count), width, accumulate, sums.As<G>());
  });
  COAT_CUDA(cudaGetLastError());
}

/// sums [W] f32 or bf16 = the sum over `rows` rows of term(row, column), or added to, for any width.
template <class Term>
void SumColumns(CudaDevice& device, const Term& term, std::int64_t rows, bool accumulate, TensorView sums) {
  const std::int64_t width = sums.elements();
  const std::int64_t count =
      std::min<std::int64_t>(DivideUp(rows, kThreadsOfPartialSum), kMaxPartialSums / kThreadsOfPartialSum);
  float* const partials = PartialSums(device, count, width);
  if (count > 0) {
    const dim3 blocks(BlocksFor(width, kColumnsOfBlock), static_cast<unsigned>(count));
    PartialSumsKernel<<<blocks, dim3(kColumnsOfBlock, kThreadsOfPartialSum), 0, device.stream()>>>(term, rows, width,
                                                                                                   partials);
    COAT_CUDA(cudaGetLastError());
  }
  AddPartialSums(device, partials, count, accumulate, sums);
}

}  // namespace coat::cuda
