#include "ops/rms_norm.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/group_scale.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/scale.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

/// F of a kernel that keeps no codes.
struct NoCodes {};
template <class F>
inline constexpr bool kKeeps = !std::is_same_v<F, NoCodes>;

template <class T>
struct Operands {
  const T* x;         // what is normalized
  const T* residual;  // or null; may be y
  const float* weight;
  T* y;
  float* rstd;
  std::uint8_t* codes;  // of x; with FP8 only
  BFloat16* scales;
  float* absmax;  // or null
  std::int64_t rows;
  std::int64_t width;
  int group;
  int group_shift;
  float eps;
};

/// A thread's eight elements of a row coded with the scale of their group, which neighboring lanes hold. All lanes of a
/// warp call it.
template <class F, class T>
__device__ inline void KeepUnit(const Operands<T>& args, std::int64_t row, int column, const float (&values)[kUnit]) {
  std::uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kUnit; ++i) largest = max(largest, MagnitudeBits(values[i]));
#pragma unroll 1
  for (int distance = 1; distance < args.group / kUnit; distance *= 2) {
    largest = max(largest, __shfl_xor_sync(kAllLanes, largest, distance));
  }
  const GroupScale scale = GroupScaleOf<F>(__uint_as_float(largest));
  if (column >= args.width) return;
  const std::int64_t first = row * args.width + column;
  StoreEncoded<F>(args.codes + first, values, scale.reciprocal);
  if (column % args.group == 0) args.scales[first >> args.group_shift] = scale.stored;
}

/// A row a warp, or a block where rows are wide. x and the residual are read once, all loads of a row in flight
/// together; y is written once, and codes: (6 + 1.125) N D bytes in bf16 with groups of 16. Weights come from a cache.
template <class T, class F, class Layout>
__global__ void __launch_bounds__(Layout::kThreads) RmsNormKernel(Operands<T> args) {
  using Elements = Packed<T, kUnit>;
  constexpr int kUnits = Layout::kUnitsOfThread;
  const auto width = static_cast<int>(args.width);
  const float of_width = static_cast<float>(width);
  typename Layout::Sums sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = Layout::FirstRow(); row < args.rows; row += Layout::RowStep()) {
    const std::int64_t first = row * width;
    Elements x[kUnits] = {};
    Elements residual[kUnits] = {};
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (Layout::Column(u) < width) x[u] = Elements::Load(args.x + first + Layout::Column(u));
    }
    if (args.residual != nullptr) {
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        if (Layout::Column(u) < width) residual[u] = Elements::Load(args.residual + first + Layout::Column(u));
      }
    }
    float sum = 0.0f;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      float squares[kUnit];
      x[u].Unpack(squares);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) squares[i] *= squares[i];
      sum += SumOfUnit(squares);
    }
    const float rstd = RstdOf(sum_of_row(sum) / of_width, args.eps);
    if (Layout::Column(0) == 0) args.rstd[row] = rstd;
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      const int column = Layout::Column(u);
      float values[kUnit];
      x[u].Unpack(values);
      if constexpr (kKeeps<F>) KeepUnit<F>(args, row, column, values);
      if (column >= width) continue;
      float weight[kUnit];
      float result[kUnit];
      LoadValues(args.weight + column, weight);
      residual[u].Unpack(result);
#pragma unroll
      for (int i = 0; i < kUnit; ++i) {
        const float normalized = weight[i] * (values[i] * rstd);
        result[i] = args.residual != nullptr ? result[i] + normalized : normalized;
      }
      const Elements y = Elements::Of(result);
      y.Store(args.y + first + column);
      largest.Take(y);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<Layout::kThreads>(largest.bits(), args.absmax);
}

constexpr int kAnyWidthThreads = 256;

/// A row's codes, a group a thread.
template <class F, class T>
__device__ inline void KeepRow(const Operands<T>& args, std::int64_t row) {
  const std::int64_t groups = args.width / args.group;
  for (std::int64_t g = threadIdx.x; g < groups; g += kAnyWidthThreads) {
    const std::int64_t first = row * args.width + g * args.group;
    std::uint32_t largest = 0;
    for (int i = 0; i < args.group; ++i) largest = max(largest, MagnitudeBits(ToFloat(args.x[first + i])));
    const BFloat16 scale = GroupScaleFromAbsMax<F>(__uint_as_float(largest));
    args.scales[row * groups + g] = scale;
    const float reciprocal = 1.0f / ToFloat(scale);
    for (int i = 0; i < args.group; ++i) {
      args.codes[first + i] = ::coat::EncodeScaled<F>(ToFloat(args.x[first + i]), reciprocal);
    }
  }
}

/// A block a row of any width and alignment.
template <class T, class F>
__global__ void __launch_bounds__(kAnyWidthThreads) RmsNormAnyWidthKernel(Operands<T> args) {
  const float of_width = static_cast<float>(args.width);
  BlockSums<kAnyWidthThreads> sum_of_row;
  Largest<T> largest;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const std::int64_t first = row * args.width;
    float sum = 0.0f;
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      sum += ToFloat(args.x[first + i]) * ToFloat(args.x[first + i]);
    }
    const float rstd = RstdOf(sum_of_row(sum) / of_width, args.eps);
    if (threadIdx.x == 0) args.rstd[row] = rstd;
    if constexpr (kKeeps<F>) KeepRow<F>(args, row);
    for (std::int64_t i = threadIdx.x; i < args.width; i += kAnyWidthThreads) {
      const float normalized = args.weight[i] * (ToFloat(args.x[first + i]) * rstd);
      const T y = RoundTo<T>(args.residual != nullptr ? ToFloat(args.residual[first + i]) + normalized : normalized);
      args.y[first + i] = y;
      largest.Take(y);
    }
  }
  if (args.absmax != nullptr) ReportAbsMax<kAnyWidthThreads>(largest.bits(), args.absmax);
}

template <class T, class F>
void Launch(CudaDevice& device, const Operands<T>& args) {
  const bool aligned = IsAligned16(args.x) && IsAligned16(args.residual) && IsAligned16(args.weight) &&
                       IsAligned16(args.y) && IsAligned16(args.codes);
  constexpr int kMaxUnits = sizeof(T) == 2 ? 8 : 4;
  const bool done =
      aligned && VisitRowLayout<kMaxUnits>(args.width, [&]<class Layout>() {
        RmsNormKernel<T, F, Layout><<<Layout::Blocks(args.rows, device), Layout::kThreads, 0, device.stream()>>>(args);
      });
  if (!done) {
    const auto blocks = std::min<std::int64_t>(args.rows, 64 * device.multiprocessors());
    RmsNormAnyWidthKernel<T, F><<<static_cast<unsigned>(blocks), kAnyWidthThreads, 0, device.stream()>>>(args);
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void RmsNorm(Context& ctx, const RmsNormArgs& args) {
  if (args.x.elements() == 0) return;
  VisitPlain(args.x.dtype(), [&]<class T>() {
    Launch<T, NoCodes>(DeviceOf(ctx), {.x = args.x.As<T>(),
                                       .residual = nullptr,
                                       .weight = args.weight.As<float>(),
                                       .y = args.y.As<T>(),
                                       .rstd = args.rstd.As<float>(),
                                       .codes = nullptr,
                                       .scales = nullptr,
                                       .absmax = nullptr,
                                       .rows = args.x.shape()[0],
                                       .width = args.x.shape()[1],
                                       .group = 0,
                                       .group_shift = 0,
                                       .eps = args.eps});
  });
}

void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  if (args.x.elements() == 0) return;
  VisitPlain(args.x.dtype(), [&]<class T>() {
    const Operands<T> operands = {.x = args.branch.As<T>(),
                                  .residual = args.x.As<T>(),
                                  .weight = args.weight.As<float>(),
                                  .y = args.y.As<T>(),
                                  .rstd = args.rstd.As<float>(),
                                  .codes = args.kept.codes.As<std::uint8_t>(),
                                  .scales = args.kept.scales.As<BFloat16>(),
                                  .absmax = args.absmax.As<float>(),
                                  .rows = args.x.shape()[0],
                                  .width = args.x.shape()[1],
                                  .group = args.kept.format.group,
                                  .group_shift = std::countr_zero(static_cast<unsigned>(args.kept.format.group)),
                                  .eps = args.eps};
    if (!args.kept) {
      Launch<T, NoCodes>(device, operands);
      return;
    }
    VisitFp8(args.kept.format.dtype, [&]<class F>() { Launch<T, F>(device, operands); });
  });
}

}  // namespace coat::cuda
