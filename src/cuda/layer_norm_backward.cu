#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/fp8.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "ops/layer_norm.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

// Y, the format of the normalized rows, is float, BFloat16, E4M3 or E5M2.
template <class T, class Y>
struct BackwardOperands {
  const StoredAs<Y>* y;
  const float* scale;  // of FP8 only
  const float* rstd;
  const T* d_y;
  T* d_x;
  float* absmax;  // or null
  std::int64_t rows;
  std::int64_t width;
  bool overwrite;
};

/// Eight elements of y as they are stored, in registers.
template <class Y>
struct NormalizedUnit {
  std::conditional_t<kIsFp8<Y>, Codes<kUnit>, Packed<Y, kUnit>> stored;

  __device__ void Load(const StoredAs<Y>* address) {
    if constexpr (kIsFp8<Y>) {
      stored = LoadCodes<kUnit>(address);
    } else {
      stored = Packed<Y, kUnit>::Load(address);
    }
  }
  __device__ void Values(float scale, float (&values)[kUnit]) const {
    if constexpr (kIsFp8<Y>) {
      Decode<Y>(stored, values);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) values[i] *= scale;
    } else {
      stored.Unpack(values);
    }
  }
};

template <class Y>
__device__ inline float NormalizedValue(StoredAs<Y> stored, float scale) {
  if constexpr (kIsFp8<Y>) {
    return DecodeFp8<Y>(stored) * scale;
  } else {
    return ToFloat(stored);
  }
}

template <class T, class Y>
__device__ inline float ScaleOf(const BackwardOperands<T, Y>& args) {
  return kIsFp8<Y> ? *args.scale : 1.0f;
}

__device__ inline float Gradient(float d_y, float y, float mean_d, float mean_dy, float rstd) {
  return (d_y - mean_d - y * mean_dy) * rstd;
}

/// A row a warp, or a block where rows are wide. y, d_y and d_x are read once, all of a row's loads in flight together,
/// and d_x is written once.
template <class T, class Y, class Layout>
__global__ void __launch_bounds__(Layout::kThreads) LayerNormBackwardKernel(BackwardOperands<T, Y> args) {
  using Elements = Packed<T, kUnit>;
  constexpr int kUnits = Layout::kUnitsOfThread;
  const auto width = static_cast<int>(args.width);
  const float of_width = static_cast<float>(width);
  const float scale = ScaleOf(args);
  typename Layout::Sums sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = Layout::FirstRow(); row < args.rows; row += Layout::RowStep()) {
    const float rstd = args.rstd[row];
    NormalizedUnit<Y> y[kUnits] = {};
    Elements d_y[kUnits] = {};
    Elements d_x[kUnits] = {};
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) >= width) continue;
      y[u].Load(args.y + row * width + Layout::Column(u));
      d_y[u] = Elements::Load(args.d_y + row * width + Layout::Column(u));
    }
    if (!args.overwrite) {
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        if (Layout::Column(u) < width) d_x[u] = Elements::Load(args.d_x + row * width + Layout::Column(u));
      }
    }

    float sum_d = 0.0f;
    float sum_dy = 0.0f;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) >= width) continue;
      float y_values[kUnit];
      float terms[kUnit];
      y[u].Values(scale, y_values);
      d_y[u].Unpack(terms);
      sum_d += SumOfUnit(terms);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) terms[i] *= y_values[i];
      sum_dy += SumOfUnit(terms);
    }
    const float mean_d = sum_of_row(sum_d) / of_width;
    const float mean_dy = sum_of_row(sum_dy) / of_width;

#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) >= width) continue;
      float y_values[kUnit];
      float d_y_values[kUnit];
      float result[kUnit];
      y[u].Values(scale, y_values);
      d_y[u].Unpack(d_y_values);
      d_x[u].Unpack(result);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) {
        const float gradient = Gradient(d_y_values[i], y_values[i], mean_d, mean_dy, rstd);
        result[i] = args.overwrite ? gradient : result[i] + gradient;
      }
      d_x[u] = Elements::Of(result);
      d_x[u].Store(args.d_x + row * width + Layout::Column(u));
      largest.Take(d_x[u]);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<Layout::kThreads>(largest.bits(), args.absmax);
}

constexpr int kAnyWidthThreads = 256;

/// A block a row of any width and alignment.
template <class T, class Y>
__global__ void __launch_bounds__(kAnyWidthThreads) LayerNormBackwardAnyWidthKernel(BackwardOperands<T, Y> args) {
  const float of_width = static_cast<float>(args.width);
  const float scale = ScaleOf(args);
  BlockSums<kAnyWidthThreads> sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const float rstd = args.rstd[row];
    const StoredAs<Y>* const y = args.y + row * args.width;
    const T* const d_y = args.d_y + row * args.width;
    T* const d_x = args.d_x + row * args.width;
    float sum_d = 0.0f;
    float sum_dy = 0.0f;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      sum_d += ToFloat(d_y[i]);
      sum_dy += ToFloat(d_y[i]) * NormalizedValue<Y>(y[i], scale);
    }
    const float mean_d = sum_of_row(sum_d) / of_width;
    const float mean_dy = sum_of_row(sum_dy) / of_width;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      const float gradient = Gradient(ToFloat(d_y[i]), NormalizedValue<Y>(y[i], scale), mean_d, mean_dy, rstd);
      d_x[i] = RoundTo<T>(args.overwrite ? gradient : ToFloat(d_x[i]) + gradient);
      largest.Take(d_x[i]);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<kAnyWidthThreads>(largest.bits(), args.absmax);
}

template <class T, class Y>
void BackwardAs(CudaDevice& device, const LayerNormBackwardArgs& args) {
  const BackwardOperands<T, Y> operands = {.y = args.y.codes.As<StoredAs<Y>>(),
                                           .scale = args.y.scales.As<float>(),
                                           .rstd = args.rstd.As<float>(),
                                           .d_y = args.d_y.As<T>(),
                                           .d_x = args.d_x.As<T>(),
                                           .absmax = args.absmax.As<float>(),
                                           .rows = args.d_y.shape()[0],
                                           .width = args.d_y.shape()[1],
                                           .overwrite = args.overwrite};
  const bool aligned = IsAligned16(operands.y) && IsAligned16(operands.d_y) && IsAligned16(operands.d_x);
  constexpr int kMaxUnits = sizeof(T) == 2 && sizeof(StoredAs<Y>) <= 2 ? 8 : 4;
  const bool done = aligned && VisitRowLayout<kMaxUnits>(operands.width, [&]<class Layout>() {
                      LayerNormBackwardKernel<T, Y, Layout>
                          <<<Layout::Blocks(operands.rows, device), Layout::kThreads, 0, device.stream()>>>(operands);
                    });
  if (!done) {
    const auto blocks = std::min<std::int64_t>(operands.rows, 64 * device.multiprocessors());
    LayerNormBackwardAnyWidthKernel<T, Y>
        <<<static_cast<unsigned>(blocks), kAnyWidthThreads, 0, device.stream()>>>(operands);
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  if (args.d_y.elements() == 0) return;
  VisitPlain(args.d_y.dtype(), [&]<class T>() {
    if (args.y.format.scaling == Scaling::kNone) {
      VisitPlain(args.y.format.dtype, [&]<class Y>() { BackwardAs<T, Y>(device, args); });
    } else {
      VisitFp8(args.y.format.dtype, [&]<class Y>() { BackwardAs<T, Y>(device, args); });
    }
  });
}

}  // namespace coat::cuda
