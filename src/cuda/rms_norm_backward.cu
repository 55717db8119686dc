#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/column_sums.cuh"
#include "cuda/kernel/fp8.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "ops/rms_norm.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

// X, the format of the norm's input, is T, E4M3 or E5M2.
template <class T, class X>
struct Operands {
  const StoredAs<X>* x;
  const BFloat16* scales;  // of FP8 only
  const float* weight;
  const float* rstd;
  const T* d_y;
  T* d_x;
  float* partials;  // [up to kMaxPartialSums, width], the weight's gradient
  float* absmax;    // or null
  std::int64_t rows;
  std::int64_t width;
  int group_shift;  // of FP8 only
};

/// Eight columns of a row as they are stored, in registers.
template <class T, class X>
struct RowUnit {
  std::conditional_t<kIsFp8<X>, Codes<kUnit>, Packed<X, kUnit>> x;
  float scale;
  Packed<T, kUnit> d_y;
  float rstd;

  __device__ void Load(const Operands<T, X>& args, std::int64_t row, int column) {
    const std::int64_t first = row * args.width + column;
    if constexpr (kIsFp8<X>) {
      x = LoadCodes<kUnit>(args.x + first);
      scale = ToFloat(args.scales[first >> args.group_shift]);
    } else {
      x = Packed<X, kUnit>::Load(args.x + first);
    }
    d_y = Packed<T, kUnit>::Load(args.d_y + first);
    rstd = args.rstd[row];
  }
  /// The normalized elements.
  __device__ void Normalized(float (&n)[kUnit]) const {
    if constexpr (kIsFp8<X>) {
      Decode<X>(x, n);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) n[i] *= scale;
    } else {
      x.Unpack(n);
    }
#pragma unroll
    for (int i = 0; i < kUnit; ++i) n[i] *= rstd;
  }
};

/// Threads that a multiprocessor is to hold: 64 registers each in bf16, 128 in float32.
template <class T>
inline constexpr int kResidentThreads = sizeof(T) == 2 ? 1024 : 512;

/// A row a warp, or a block where rows are wide, eight columns a thread. x and d_y are read once, in bf16 a row's loads
/// are in flight while the row before is worked on, and d_x is written once: (4 + 1.125) N D bytes in bf16 with groups
/// of
/// 16. The weight's gradient stays in registers until the end, and then takes 512 rows of float32 in the workspace.
template <class T, class X, class Layout>
__global__ void __launch_bounds__(Layout::kThreads, kResidentThreads<T> / Layout::kThreads)
    RmsNormBackwardKernel(Operands<T, X> args) {
  constexpr bool kAhead = sizeof(T) == 2;  // float32 takes too many registers
  const float of_width = static_cast<float>(args.width);
  const int column = Layout::Column(0);
  const bool active = column < args.width;
  float weight[kUnit] = {};
  float sums[kUnit] = {};
  if (active) LoadValues(args.weight + column, weight);
  RowUnit<T, X> next = {};
  const auto load = [&](std::int64_t row) {
    if (active && row < args.rows) next.Load(args, row, column);
  };
  if (kAhead) load(Layout::FirstRow());
  typename Layout::Sums sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = Layout::FirstRow(); row < args.rows; row += Layout::RowStep()) {
    if (!kAhead) load(row);
    const RowUnit<T, X> unit = next;
    if (kAhead) load(row + Layout::RowStep());
    float n[kUnit];
    float g[kUnit];
    float terms[kUnit];
    unit.Normalized(n);
    unit.d_y.Unpack(g);
#pragma unroll
    for (int i = 0; i < kUnit; ++i) {
      sums[i] += g[i] * n[i];
      g[i] *= weight[i];
      terms[i] = g[i] * n[i];
    }
    const float mean = sum_of_row(SumOfUnit(terms)) / of_width;
    if (!active) continue;
#pragma unroll
    for (int i = 0; i < kUnit; ++i) g[i] = (g[i] - n[i] * mean) * unit.rstd;
    const Packed<T, kUnit> d_x = Packed<T, kUnit>::Of(g);
    d_x.Store(args.d_x + row * args.width + column);
    largest.Take(d_x);
  }
  if (active) StoreValues(args.partials + Layout::FirstRow() * args.width + column, sums);
  if (args.absmax != nullptr) ReportAbsMax<Layout::kThreads>(largest.bits(), args.absmax);
}

template <class T, class X>
__device__ inline float NormalizedAt(const Operands<T, X>& args, std::int64_t row, std::int64_t column) {
  const std::int64_t i = row * args.width + column;
  if constexpr (kIsFp8<X>) {
    return DecodeFp8<X>(args.x[i]) * ToFloat(args.scales[i >> args.group_shift]) * args.rstd[row];
  } else {
    return ToFloat(args.x[i]) * args.rstd[row];
  }
}

/// A term of the weight's gradient.
template <class T, class X>
struct WeightTerm {
  Operands<T, X> args;

  __device__ float operator()(std::int64_t row, std::int64_t column) const {
    return ToFloat(args.d_y[row * args.width + column]) * NormalizedAt(args, row, column);
  }
};

constexpr int kAnyWidthThreads = 256;

/// d_x alone: a block a row of any width and alignment.
template <class T, class X>
__global__ void __launch_bounds__(kAnyWidthThreads) RmsNormBackwardAnyWidthKernel(Operands<T, X> args) {
  const float of_width = static_cast<float>(args.width);
  BlockSums<kAnyWidthThreads> sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const float rstd = args.rstd[row];
    const T* const d_y = args.d_y + row * args.width;
    float sum = 0.0f;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      sum += ToFloat(d_y[i]) * args.weight[i] * NormalizedAt(args, row, i);
    }
    const float mean = sum_of_row(sum) / of_width;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      const float gradient = (ToFloat(d_y[i]) * args.weight[i] - NormalizedAt(args, row, i) * mean) * rstd;
      const T d_x = RoundTo<T>(gradient);
      args.d_x[row * args.width + i] = d_x;
      largest.Take(d_x);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<kAnyWidthThreads>(largest.bits(), args.absmax);
}

template <class T, class X>
void LaunchAnyWidth(CudaDevice& device, const Operands<T, X>& operands, const RmsNormBackwardArgs& args) {
  if (operands.rows > 0) {
    const auto blocks = std::min<std::int64_t>(operands.rows, 64 * device.multiprocessors());
    RmsNormBackwardAnyWidthKernel<T, X>
        <<<static_cast<unsigned>(blocks), kAnyWidthThreads, 0, device.stream()>>>(operands);
    COAT_CUDA(cudaGetLastError());
  }
  SumColumns(device, WeightTerm<T, X>{operands}, operands.rows, args.accumulate, args.d_weight);
}

template <class T, class X>
void Launch(CudaDevice& device, const RmsNormBackwardArgs& args) {
  Operands<T, X> operands = {.x = args.x.codes.As<StoredAs<X>>(),
                             .scales = kIsFp8<X> ? args.x.scales.As<BFloat16>() : nullptr,
                             .weight = args.weight.As<float>(),
                             .rstd = args.rstd.As<float>(),
                             .d_y = args.d_y.As<T>(),
                             .d_x = args.d_x.As<T>(),
                             .partials = nullptr,
                             .absmax = args.absmax.As<float>(),
                             .rows = args.d_y.shape()[0],
                             .width = args.d_y.shape()[1],
                             .group_shift = std::countr_zero(static_cast<unsigned>(args.x.format.group))};
  const bool aligned =
      IsAligned16(operands.x) && IsAligned16(operands.weight) && IsAligned16(operands.d_y) && IsAligned16(operands.d_x);
  const bool done = aligned && operands.rows > 0 &&
                    VisitThinRowLayout<kResidentThreads<T> / kWarpSize>(operands.width, [&]<class Layout>() {
                      constexpr std::int64_t kRows = Layout::kRowsOfBlock;
                      const std::int64_t blocks =
                          std::min<std::int64_t>(DivideUp(operands.rows, kRows), kMaxPartialSums / kRows);
                      operands.partials = PartialSums(device, blocks * kRows, operands.width);
                      RmsNormBackwardKernel<T, X, Layout>
                          <<<static_cast<unsigned>(blocks), Layout::kThreads, 0, device.stream()>>>(operands);
                      COAT_CUDA(cudaGetLastError());
                      AddPartialSums(device, operands.partials, blocks * kRows, args.accumulate, args.d_weight);
                    });
  if (!done) LaunchAnyWidth(device, operands, args);
}

}  // namespace

void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  VisitPlain(args.d_y.dtype(), [&]<class T>() {
    if (args.x.format.scaling == Scaling::kNone) {
      Launch<T, T>(device, args);
    } else {
      VisitFp8(args.x.format.dtype, [&]<class X>() { Launch<T, X>(device, args); });
    }
  });
}

}  // namespace coat::cuda
