#include "ops/embedding.h"

#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_blocks.h"
#include "cuda/kernel/sort.h"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

// EmbeddingForward ------------------------------------------------------------------------------------------------

/// Vectors of a row whose loads a thread has in flight together.
constexpr int kVectorsAtOnce = 2;

/// Rows of the weight to rows of x, each element read and written once. kVector is 8, or 1 for any width and alignment.
template <class W, class T, int kVector>
__global__ void __launch_bounds__(kRowBlockThreads)
    EmbeddingForwardKernel(const W* weight, const std::int32_t* ids, T* x, std::int64_t rows, std::int64_t columns) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  const W* const from = weight + ids[row] * columns;
  T* const to = x + row * columns;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kVector;
  for (std::int64_t begin = threadIdx.x * kVector; begin < columns; begin += kVectorsAtOnce * step) {
    Packed<W, kVector> packed[kVectorsAtOnce];
#pragma unroll
    for (int i = 0; i < kVectorsAtOnce; ++i) {
      if (begin + i * step < columns) packed[i] = Packed<W, kVector>::Load(from + begin + i * step);
    }
#pragma unroll
    for (int i = 0; i < kVectorsAtOnce; ++i) {
      if (begin + i * step >= columns) continue;
      float values[kVector];
      packed[i].Unpack(values);
      Packed<T, kVector>::Of(values).Store(to + begin + i * step);
    }
  }
}

// EmbeddingBackward -----------------------------------------------------------------------------------------------

template <class X, class W>
struct BackwardOperands {
  const std::int32_t* sorted_ids;
  const std::int32_t* order;
  const X* d_x;
  W* d_weight;
  std::int64_t count;
  std::int64_t columns;
  std::int32_t* long_runs;       // sorted positions where long runs start, in any order
  std::int32_t* long_run_count;  // [1], 0 at first
};

/// What a sum starts with: added to any number it leaves that number, the sign of 0 included.
constexpr float kNothing = -0.0f;
/// Rows of a run whose loads a thread has in flight together.
constexpr int kRowsAtOnce = 4;
/// Longer runs are left to LongRunsKernel, which has more loads in flight.
constexpr int kLongRun = 32;

/// Blocks of RunsKernel that a multiprocessor holds at least, as far as registers go without a spill.
template <class X, int kVector>
constexpr int kBlocksOfRuns = kVector == 1 ? 1 : 8 / static_cast<int>(sizeof(X));

/// Adds the run that starts at a sorted position, if one does, to its row of d_weight: a thread sums kVector columns
/// position after position. Reads d_x once, and reads and writes once the rows of d_weight whose ids occur. kVector is
/// 8, and long runs are listed instead; or 1 for any width and alignment and runs of any length.
template <class X, class W, int kVector>
__global__ void __launch_bounds__(kRowBlockThreads, kBlocksOfRuns<X, kVector>) RunsKernel(BackwardOperands<X, W> args) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (first >= args.count) return;
  // All that may be needed of the sorted positions at once: one wait, then that for the rows.
  const auto id_at = [&](std::int64_t i) { return args.sorted_ids[i < args.count ? i : args.count - 1]; };
  const std::int32_t id = id_at(first);
  const std::int32_t previous = id_at(first > 0 ? first - 1 : 0);
  const std::int32_t next = id_at(first + 1);
  const std::int32_t far = id_at(first + kLongRun);
  const std::int32_t position = args.order[first];
  if (first > 0 && previous == id) return;
  if (kVector > 1 && first + kLongRun < args.count && far == id) {
    if (threadIdx.x == 0) args.long_runs[atomicAdd(args.long_run_count, 1)] = static_cast<std::int32_t>(first);
    return;
  }
  const bool alone = first + 1 == args.count || next != id;  // most are
  for (std::int64_t column = threadIdx.x * kVector; column < args.columns; column += blockDim.x * kVector) {
    W* const row = args.d_weight + id * args.columns + column;
    const auto before = Packed<W, kVector>::Load(row);
    float sum[kVector];
#pragma unroll
    for (int c = 0; c < kVector; ++c) sum[c] = kNothing;
    if (alone) Packed<X, kVector>::Load(args.d_x + position * args.columns + column).Unpack(sum);
    int in_run = alone ? 0 : kRowsAtOnce;
    for (std::int64_t i = first; in_run == kRowsAtOnce; i += kRowsAtOnce) {
      std::int32_t positions[kRowsAtOnce];
      in_run = 0;
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        const std::int64_t at = i + r < args.count ? i + r : first;
        positions[r] = args.order[at];
        in_run += i + r < args.count && args.sorted_ids[at] == id ? 1 : 0;
      }
      Packed<X, kVector> terms[kRowsAtOnce];
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        if (r < in_run) terms[r] = Packed<X, kVector>::Load(args.d_x + positions[r] * args.columns + column);
      }
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        if (r >= in_run) continue;
        float values[kVector];
        terms[r].Unpack(values);
#pragma unroll
        for (int c = 0; c < kVector; ++c) sum[c] += values[c];
      }
    }
    float result[kVector];
    before.Unpack(result);
#pragma unroll
    for (int c = 0; c < kVector; ++c) result[c] += sum[c];
    Packed<W, kVector>::Of(result).Store(row);
  }
}

constexpr int kTileRows = 256;
constexpr int kTileThreads = 256;
constexpr int kSliceBytes = 128;
constexpr int kSliceChunks = kSliceBytes / 16;
constexpr int kRowsOfLoad = kTileThreads / kSliceChunks;
constexpr int kChunksOfThread = kTileRows / kRowsOfLoad;

/// Blocks share long runs by slices of columns, 128 bytes of a row of d_x each. The sum of a column is a chain of
/// additions, so what is parallel is the loading: 256 positions at a time go through shared memory.
template <class X, class W>
__global__ void __launch_bounds__(kTileThreads) LongRunsKernel(BackwardOperands<X, W> args, int slices) {
  constexpr int kSliceColumns = kSliceBytes / static_cast<int>(sizeof(X));
  __shared__ uint4 tile[kTileRows][kSliceChunks];
  __shared__ std::int32_t positions[kTileRows];
  const int thread = static_cast<int>(threadIdx.x);
  const int chunk = thread % kSliceChunks;
  const int first_row = thread / kSliceChunks;
  const std::int64_t items = static_cast<std::int64_t>(*args.long_run_count) * slices;
  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t first = args.long_runs[item / slices];
    const std::int64_t slice = item % slices * kSliceColumns;
    const std::int64_t column = slice + chunk * kVectorElements<X>;
    const std::int32_t id = args.sorted_ids[first];
    const auto position_at = [&](std::int64_t i) {
      return i < args.count && args.sorted_ids[i] == id ? args.order[i] : -1;
    };
    float sum = kNothing;
    std::int32_t position = position_at(first + thread);
    int rows = kTileRows;
    for (std::int64_t begin = first; rows == kTileRows; begin += kTileRows) {
      positions[thread] = position;
      rows = __syncthreads_count(position >= 0);
      uint4 loaded[kChunksOfThread];
#pragma unroll
      for (int k = 0; k < kChunksOfThread; ++k) {
        const int row = first_row + k * kRowsOfLoad;
        if (row < rows && column < args.columns) {
          loaded[k] = *reinterpret_cast<const uint4*>(args.d_x + positions[row] * args.columns + column);
        }
      }
      position = position_at(begin + kTileRows + thread);  // of the next tile
#pragma unroll
      for (int k = 0; k < kChunksOfThread; ++k) tile[first_row + k * kRowsOfLoad][chunk] = loaded[k];
      __syncthreads();
      if (thread < kSliceColumns) {
        const X* const terms = reinterpret_cast<const X*>(tile) + thread;
#pragma unroll 16
        for (int row = 0; row < rows; ++row) sum += ToFloat(terms[row * kSliceColumns]);
      }
    }
    if (thread < kSliceColumns && slice + thread < args.columns) {
      W& gradient = args.d_weight[id * args.columns + slice + thread];
      gradient = RoundTo<W>(ToFloat(gradient) + sum);
    }
  }
}

template <class X, class W>
void AddRuns(CudaDevice& device, const BackwardOperands<X, W>& args) {
  const bool in_vectors = args.columns % 8 == 0 && IsAligned16(args.d_x) && IsAligned16(args.d_weight);
  if (!in_vectors) {
    const RowBlocks blocks(args.count, args.columns);
    RunsKernel<X, W, 1><<<blocks.grid, blocks.block, 0, device.stream()>>>(args);
    COAT_CUDA(cudaGetLastError());
    return;
  }
  const RowBlocks blocks(args.count, args.columns / 8);
  RunsKernel<X, W, 8><<<blocks.grid, blocks.block, 0, device.stream()>>>(args);
  COAT_CUDA(cudaGetLastError());
  if (args.count <= kLongRun) return;
  const std::int64_t slices = DivideUp(args.columns * static_cast<std::int64_t>(sizeof(X)), kSliceBytes);
  const int blocks_at_once = 6 * device.multiprocessors();
  LongRunsKernel<X, W><<<blocks_at_once, kTileThreads, 0, device.stream()>>>(args, static_cast<int>(slices));
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args) {
  if (args.x.elements() == 0) return;
  CudaDevice& device = DeviceOf(ctx);
  const std::int64_t rows = args.x.shape()[0];
  const std::int64_t columns = args.x.shape()[1];
  VisitPlain(args.weight.dtype(), [&]<class W>() {
    VisitPlain(args.x.dtype(), [&]<class T>() {
      const auto launch = [&]<int kVector>() {
        const RowBlocks blocks(rows, DivideUp(columns, kVectorsAtOnce * kVector));
        EmbeddingForwardKernel<W, T, kVector><<<blocks.grid, blocks.block, 0, device.stream()>>>(
            args.weight.As<W>(), args.ids.As<std::int32_t>(), args.x.As<T>(), rows, columns);
      };
      if (columns % 8 == 0 && IsAligned16(args.weight.data()) && IsAligned16(args.x.data())) {
        launch.template operator()<8>();
      } else {
        launch.template operator()<1>();
      }
    });
  });
  COAT_CUDA(cudaGetLastError());
}

void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args) {
  const std::int64_t count = args.ids.elements();
  if (count == 0) return;
  CudaDevice& device = DeviceOf(ctx);
  std::int32_t* const sorted_ids = SortPositions(device, args.ids.As<std::int32_t>(), count, args.d_weight.shape()[0],
                                                 args.order.As<std::int32_t>());
  if (args.d_weight.elements() == 0) return;
  // Behind the sorted ids there is room for a number and a list of at most count / 32 runs.
  std::int32_t* const long_run_count = sorted_ids + count;
  COAT_CUDA(cudaMemsetAsync(long_run_count, 0, sizeof(std::int32_t), device.stream()));
  VisitPlain(args.d_x.dtype(), [&]<class X>() {
    VisitPlain(args.d_weight.dtype(), [&]<class W>() {
      AddRuns<X, W>(device, {.sorted_ids = sorted_ids,
                             .order = args.order.As<std::int32_t>(),
                             .d_x = args.d_x.As<X>(),
                             .d_weight = args.d_weight.As<W>(),
                             .count = count,
                             .columns = args.d_weight.shape()[1],
                             .long_runs = long_run_count + 1,
                             .long_run_count = long_run_count});
    });
  });
}

}  // namespace coat::cuda
