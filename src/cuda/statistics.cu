#include "ops/statistics.h"

#include <cstdint>

#include "base/divide.h"
#include "base/error.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/tensor_table.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 6;  // a multiprocessor
/// Elements a partial sum: the same on every device, so that the norms are.
constexpr std::int64_t kTile = 1 << 16;

struct Entry {
  const void* x;
  float* norm;
  std::int64_t elements;
  bool vectors;  // 16-byte accesses are aligned
};

/// Combines the values of all threads of a block in a fixed tree: `combine(a, b)`. The result is the first thread's.
template <class T, class Combine>
__device__ T BlockCombine(T value, Combine combine) {
  __shared__ T values[kThreads];
  values[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) {
      values[threadIdx.x] = combine(values[threadIdx.x], values[threadIdx.x + half]);
    }
    __syncthreads();
  }
  const T combined = values[0];
  __syncthreads();  // the next values may come
  return combined;
}

__device__ double BlockSum(double value) {
  return BlockCombine(value, [](double a, double b) { return a + b; });
}

__device__ double AddSquare(double sum, float x) {
  return fma(static_cast<double>(x), static_cast<double>(x), sum);
}

/// partials[tile] = the sum of squares of a tile of 65536 elements, for each tile of the table's tensors. A block takes
/// a tile at a time, a thread four 16-byte loads at a time: 4 or 2 bytes an element, read once.
template <class T>
__global__ void __launch_bounds__(kThreads, ResidentBlocks(kThreads, kResidentBlocks))
    SumOfSquaresKernel(const __grid_constant__ TensorTable<Entry> table, double* partials) {
  constexpr int kVector = kVectorElements<T>;
  constexpr int kLoads = 4;
  constexpr int kStep = kThreads * kVector;
  static_assert(kTile % (kLoads * kStep) == 0);
  int at = 0;
  for (std::int64_t tile = blockIdx.x; tile < table.Tiles(); tile += gridDim.x) {
    at = table.Find(tile, at);
    const Entry& tensor = table.entries[at];
    const std::int64_t begin = (tile - table.first_tile[at]) * kTile;
    const T* x = static_cast<const T*>(tensor.x) + begin;
    double sums[kLoads] = {};
    if (tensor.vectors && begin + kTile <= tensor.elements) {
      for (int i = static_cast<int>(threadIdx.x) * kVector; i < kTile; i += kLoads * kStep) {
        float values[kLoads][kVector];
#pragma unroll
        for (int load = 0; load < kLoads; ++load) LoadValues<T>(x + i + load * kStep, values[load]);
#pragma unroll
        for (int load = 0; load < kLoads; ++load) {
#pragma unroll
          for (int j = 0; j < kVector; ++j) sums[load] = AddSquare(sums[load], values[load][j]);
        }
      }
    } else {
      const std::int64_t count = min(kTile, tensor.elements - begin);
      for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sums[0] = AddSquare(sums[0], ToFloat(x[i]));
    }
    const double sum = BlockSum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    if (threadIdx.x == 0) partials[tile] = sum;
  }
}

/// Each block adds one tensor's partial sums, and takes the root.
__global__ void __launch_bounds__(kThreads)
    RootsKernel(const __grid_constant__ TensorTable<Entry> table, const double* partials) {
  const int at = static_cast<int>(blockIdx.x);
  double sum = 0.0;
  for (std::int64_t tile = table.first_tile[at] + threadIdx.x; tile < table.first_tile[at + 1]; tile += kThreads) {
    sum += partials[tile];
  }
  sum = BlockSum(sum);
  if (threadIdx.x == 0) *table.entries[at].norm = static_cast<float>(sqrt(sum));
}

/// The norms of the tensors of type T.
template <class T>
void NormsOf(const CudaDevice& device, const L2NormsArgs& args, DType dtype) {
  TensorTables<Entry> tables([&](const TensorTable<Entry>& table) {
    COAT_REQUIRE(table.Tiles() * static_cast<std::int64_t>(sizeof(double)) <= device.workspace_bytes(),
                 "L2Norms has {} partial sums; the workspace has {} bytes", table.Tiles(), device.workspace_bytes());
    auto* partials = reinterpret_cast<double*>(device.workspace());
    if (const unsigned blocks = PersistentBlocks(device, table.Tiles(), 1, kResidentBlocks); blocks > 0) {
      SumOfSquaresKernel<T><<<blocks, kThreads, 0, device.stream()>>>(table, partials);
      COAT_CUDA(cudaGetLastError());
    }
    RootsKernel<<<static_cast<unsigned>(table.count), kThreads, 0, device.stream()>>>(table, partials);
    COAT_CUDA(cudaGetLastError());
  });
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const ConstTensorView& x = args.tensors[i];
    if (x.dtype() != dtype) continue;
    tables.Add(
        {.x = x.data(), .norm = args.norms.As<float>() + i, .elements = x.elements(), .vectors = IsAligned16(x.data())},
        DivideUp(x.elements(), kTile));
  }
  tables.Flush();
}

/// The sums of a tile, and its extreme magnitudes as bits, which order like the magnitudes with NaN above all.
struct TileSums {
  double sum = 0.0;
  double squares = 0.0;
  std::uint32_t smallest = 0xffffffffu;
  std::uint32_t largest = 0;
};

__device__ TileSums Combined(const TileSums& a, const TileSums& b) {
  return {a.sum + b.sum, a.squares + b.squares, min(a.smallest, b.smallest), max(a.largest, b.largest)};
}

/// partials[tile] = the sums of a tile of 65536 elements; a block a tile.
template <class T>
__global__ void __launch_bounds__(kThreads) TileSumsKernel(const T* x, std::int64_t elements, TileSums* partials) {
  TileSums sums;
  const std::int64_t begin = blockIdx.x * kTile;
  for (std::int64_t i = begin + threadIdx.x; i < begin + kTile && i < elements; i += kThreads) {
    const float value = ToFloat(x[i]);
    const std::uint32_t bits = MagnitudeBits(value);
    sums = Combined(sums, {value, AddSquare(0.0, value), bits, bits});
  }
  sums = BlockCombine(sums, Combined);
  if (threadIdx.x == 0) partials[blockIdx.x] = sums;
}

/// One block adds the tiles' sums.
__global__ void __launch_bounds__(kThreads)
    StatisticsKernel(const TileSums* partials, std::int64_t tiles, std::int64_t elements, float* statistics) {
  TileSums sums;
  for (std::int64_t tile = threadIdx.x; tile < tiles; tile += kThreads) sums = Combined(sums, partials[tile]);
  sums = BlockCombine(sums, Combined);
  if (threadIdx.x != 0) return;
  const bool nan = sums.largest > 0x7f800000u;
  statistics[0] = __uint_as_float(nan ? sums.largest : sums.smallest);
  statistics[1] = __uint_as_float(sums.largest);
  statistics[2] = static_cast<float>(sums.sum / static_cast<double>(elements));
  statistics[3] = static_cast<float>(sqrt(sums.squares));
}

}  // namespace

void L2Norms(Context& ctx, const L2NormsArgs& args) {
  NormsOf<float>(DeviceOf(ctx), args, DType::kF32);
  NormsOf<BFloat16>(DeviceOf(ctx), args, DType::kBF16);
}

void Statistics(Context& ctx, const StatisticsArgs& args) {
  const CudaDevice& device = DeviceOf(ctx);
  const std::int64_t elements = args.x.elements();
  const std::int64_t tiles = DivideUp(elements, kTile);
  COAT_REQUIRE(tiles * static_cast<std::int64_t>(sizeof(TileSums)) <= device.workspace_bytes(),
               "Statistics has {} partial sums; the workspace has {} bytes", tiles, device.workspace_bytes());
  auto* partials = reinterpret_cast<TileSums*>(device.workspace());
  VisitPlain(args.x.dtype(), [&]<class T>() {
    TileSumsKernel<T>
        <<<static_cast<unsigned>(tiles), kThreads, 0, device.stream()>>>(args.x.As<T>(), elements, partials);
  });
  COAT_CUDA(cudaGetLastError());
  StatisticsKernel<<<1, kThreads, 0, device.stream()>>>(partials, tiles, elements, args.statistics.As<float>());
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
