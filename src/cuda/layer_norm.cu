#include "ops/layer_norm.h"

#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_blocks.h"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/scale.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

// AddLayerNorm ----------------------------------------------------------------------------------------------------

template <class T>
struct AddOperands {
  T* x;
  const T* branch;  // or null
  float* mean;
  float* rstd;
  T* y;           // or null
  float* absmax;  // or null
  std::int64_t rows;
  std::int64_t width;
  float eps;
};

/// A row a warp, or a block where rows are wide. x and branch are read once and x is written once, all of a row's loads
/// in flight together; sums, variance and normalized values come from registers.
template <class T, class Layout>
__global__ void __launch_bounds__(Layout::kThreads) AddLayerNormKernel(AddOperands<T> args) {
  using Elements = Packed<T, kUnit>;
  constexpr int kUnits = Layout::kUnitsOfThread;
  const auto width = static_cast<int>(args.width);
  const float of_width = static_cast<float>(width);
  typename Layout::Sums sum_of_row;
  std::uint32_t largest = 0;
  for (std::int64_t row = Layout::FirstRow(); row < args.rows; row += Layout::RowStep()) {
    T* const x_row = args.x + row * width;
    Elements x[kUnits] = {};
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) < width) x[u] = Elements::Load(x_row + Layout::Column(u));
    }
    if (args.branch != nullptr) {
      const T* const branch_row = args.branch + row * width;
      Elements branch[kUnits] = {};
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        if (Layout::Column(u) < width) branch[u] = Elements::Load(branch_row + Layout::Column(u));
      }
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        float sums[kUnit];
        float terms[kUnit];
        x[u].Unpack(sums);
        branch[u].Unpack(terms);
#pragma unroll
        for (int i = 0; i < kUnit; ++i) sums[i] += terms[i];
        x[u] = Elements::Of(sums);
        if (Layout::Column(u) < width) x[u].Store(x_row + Layout::Column(u));
      }
    }

    float sum = 0.0f;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      float values[kUnit];
      x[u].Unpack(values);
      sum += SumOfUnit(values);
    }
    const float mean = sum_of_row(sum) / of_width;
    float squares = 0.0f;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      float values[kUnit];
      x[u].Unpack(values);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) values[i] = (values[i] - mean) * (values[i] - mean);
      squares += Layout::Column(u) < width ? SumOfUnit(values) : 0.0f;
    }
    const float rstd = RstdOf(sum_of_row(squares) / of_width, args.eps);
    if (Layout::Column(0) == 0) {
      args.mean[row] = mean;
      args.rstd[row] = rstd;
    }
    if (args.y == nullptr && args.absmax == nullptr) continue;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) >= width) continue;
      float values[kUnit];
      x[u].Unpack(values);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) {
        values[i] = (values[i] - mean) * rstd;
        largest = max(largest, MagnitudeBits(values[i]));
      }
      if (args.y != nullptr) Elements::Of(values).Store(args.y + row * width + Layout::Column(u));
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<Layout::kThreads>(largest, args.absmax);
}

constexpr int kAnyWidthThreads = 256;

/// A block a row of any width and alignment. A thread meets the same elements in each pass, so that what it wrote to x
/// is there to be read.
template <class T>
__global__ void __launch_bounds__(kAnyWidthThreads) AddLayerNormAnyWidthKernel(AddOperands<T> args) {
  const float of_width = static_cast<float>(args.width);
  BlockSums<kAnyWidthThreads> sum_of_row;
  std::uint32_t largest = 0;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    T* const x = args.x + row * args.width;
    float sum = 0.0f;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      if (args.branch != nullptr) x[i] = RoundTo<T>(ToFloat(x[i]) + ToFloat(args.branch[row * args.width + i]));
      sum += ToFloat(x[i]);
    }
    const float mean = sum_of_row(sum) / of_width;
    float squares = 0.0f;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      const float centered = ToFloat(x[i]) - mean;
      squares += centered * centered;
    }
    const float rstd = RstdOf(sum_of_row(squares) / of_width, args.eps);
    if (threadIdx.x == 0) {
      args.mean[row] = mean;
      args.rstd[row] = rstd;
    }
    if (args.y == nullptr && args.absmax == nullptr) continue;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      const float value = (ToFloat(x[i]) - mean) * rstd;
      largest = max(largest, MagnitudeBits(value));
      if (args.y != nullptr) args.y[row * args.width + i] = RoundTo<T>(value);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<kAnyWidthThreads>(largest, args.absmax);
}

template <class T>
void AddLayerNormAs(CudaDevice& device, const AddOperands<T>& args) {
  const bool aligned = IsAligned16(args.x) && IsAligned16(args.branch) && IsAligned16(args.y);
  constexpr int kMaxUnits = sizeof(T) == 2 ? 8 : 4;
  const bool done = aligned && VisitRowLayout<kMaxUnits>(args.width, [&]<class Layout>() {
                      AddLayerNormKernel<T, Layout>
                          <<<Layout::Blocks(args.rows, device), Layout::kThreads, 0, device.stream()>>>(args);
                    });
  if (!done) {
    const auto blocks = std::min<std::int64_t>(args.rows, 64 * device.multiprocessors());
    AddLayerNormAnyWidthKernel<T><<<static_cast<unsigned>(blocks), kAnyWidthThreads, 0, device.stream()>>>(args);
  }
  COAT_CUDA(cudaGetLastError());
}

// NormalizeQuantize -----------------------------------------------------------------------------------------------

template <class T>
struct NormalizeOperands {
  const T* x;
  const float* mean;
  const float* rstd;
  const float* absmax;
  std::uint8_t* codes;
  float* scale;
  std::int64_t rows;
  std::int64_t width;
};

/// Vectors of a row that a thread has in flight together.
constexpr int kVectorsAtOnce = 4;

/// Rows of x to codes, up to 32 elements a thread at once. x is read and codes are written once. kVector is 8 or, for
/// any width and alignment, 1. The first thread writes the scale.
template <class T, class F, int kVector>
__global__ void __launch_bounds__(kRowBlockThreads) NormalizeQuantizeKernel(NormalizeOperands<T> args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= args.rows) return;
  const float mean = args.mean[row];
  const float rstd = args.rstd[row];
  const T* const x = args.x + row * args.width;
  std::uint8_t* const codes = args.codes + row * args.width;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kVector;
  for (std::int64_t begin = threadIdx.x * kVector; begin < args.width; begin += kVectorsAtOnce * step) {
    Packed<T, kVector> packed[kVectorsAtOnce];
#pragma unroll
    for (int v = 0; v < kVectorsAtOnce; ++v) {
      if (begin + v * step < args.width) packed[v] = Packed<T, kVector>::Load(x + begin + v * step);
    }
    // Here and not before the loop, so that the divisions do not hold up the loads.
    const float scale = ScaleFromAbsMax<F>(*args.absmax);
    const float reciprocal = 1.0f / scale;
    if (blockIdx.x == 0 && threadIdx.y == 0 && begin == 0) *args.scale = scale;
#pragma unroll
    for (int v = 0; v < kVectorsAtOnce; ++v) {
      if (begin + v * step >= args.width) continue;
      float values[kVector];
      packed[v].Unpack(values);
#pragma unroll
      for (int i = 0; i < kVector; ++i) values[i] = (values[i] - mean) * rstd;
      if constexpr (kVector == 1) {
        codes[begin + v * step] = ::coat::EncodeScaled<F>(values[0], reciprocal);
      } else {
        StoreEncoded<F>(codes + begin + v * step, values, reciprocal);
      }
    }
  }
}

/// The scale alone, for a matrix without rows.
template <class F>
__global__ void ScaleKernel(const float* absmax, float* scale) {
  *scale = ScaleFromAbsMax<F>(*absmax);
}

template <class T, class F>
void NormalizeQuantizeAs(CudaDevice& device, const NormalizeOperands<T>& args) {
  const auto launch = [&]<int kVector>() {
    const std::int64_t steps = DivideUp(args.width, kVectorsAtOnce * kVector);
    const RowBlocks blocks(args.rows, steps);
    NormalizeQuantizeKernel<T, F, kVector><<<blocks.grid, blocks.block, 0, device.stream()>>>(args);
  };
  if (args.rows == 0) {
    ScaleKernel<F><<<1, 1, 0, device.stream()>>>(args.absmax, args.scale);
  } else if (args.width % kUnit == 0 && IsAligned16(args.x) && IsAligned16(args.codes)) {
    launch.template operator()<kUnit>();
  } else {
    launch.template operator()<1>();
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  if (args.x.elements() == 0) return;
  VisitPlain(args.x.dtype(), [&]<class T>() {
    AddLayerNormAs<T>(device, {.x = args.x.As<T>(),
                               .branch = args.branch.As<T>(),
                               .mean = args.mean.As<float>(),
                               .rstd = args.rstd.As<float>(),
                               .y = args.y.As<T>(),
                               .absmax = args.absmax.As<float>(),
                               .rows = args.x.shape()[0],
                               .width = args.x.shape()[1],
                               .eps = args.eps});
  });
}

void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args) {
  VisitPlain(args.x.dtype(), [&]<class T>() {
    VisitFp8(args.y.format.dtype, [&]<class F>() {
      NormalizeQuantizeAs<T, F>(DeviceOf(ctx), {.x = args.x.As<T>(),
                                                .mean = args.mean.As<float>(),
                                                .rstd = args.rstd.As<float>(),
                                                .absmax = args.absmax.As<float>(),
                                                .codes = args.y.codes.As<std::uint8_t>(),
                                                .scale = args.y.scales.As<float>(),
                                                .rows = args.x.shape()[0],
                                                .width = args.x.shape()[1]});
    });
  });
}

}  // namespace coat::cuda
