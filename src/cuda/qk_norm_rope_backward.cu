#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/column_sums.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "cuda/qk_norm_rope.cuh"
#include "numerics/bfloat16.h"
#include "ops/qk_norm_rope.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

/// One launch is of all tokens' queries, or of their keys.
template <class T>
struct Operands {
  const T* x;  // the part in the first token
  T* d;        // its gradient
  const float* weight;
  const float* table;
  const float* rstd;
  float* partials;  // [up to kMaxPartialSums, width], the weight's gradient
  float* absmax;    // or null
  std::int64_t tokens;
  std::int64_t positions;
  std::int64_t stride;  // columns of a token
  int width;            // of the part
  int head_size;
  bool read_values;  // the keys' launch reads values' gradients for absmax; they lie behind and are as wide
};

/// Eight pairs of a token, x and its gradient, as they are stored, and the gradients of values behind them.
template <class T>
struct TokenUnit {
  Packed<T, kUnit> x_a, x_b, d_a, d_b;
  Packed<T, kUnit> values_a, values_b;  // if Operands::read_values
  float rstd;

  __device__ void Load(const Operands<T>& args, std::int64_t token, const PairPlace& place) {
    const std::int64_t first = token * args.stride;
    x_a = Packed<T, kUnit>::Load(args.x + first + place.first);
    x_b = Packed<T, kUnit>::Load(args.x + first + place.second);
    d_a = Packed<T, kUnit>::Load(args.d + first + place.first);
    d_b = Packed<T, kUnit>::Load(args.d + first + place.second);
    if (args.read_values) {
      values_a = Packed<T, kUnit>::Load(args.d + first + args.width + place.first);
      values_b = Packed<T, kUnit>::Load(args.d + first + args.width + place.second);
    }
    rstd = args.rstd[token];
  }
};

/// Adds d_y n to the weight's gradient, multiplies d_y by the weight, and returns the sum of (d_y weight) n.
__device__ inline float TakeUnit(const float (&n)[kUnit], const float* weight_address, float (&sums)[kUnit],
                                 float (&d_y)[kUnit]) {
  float weight[kUnit];
  float terms[kUnit];
  LoadValues(weight_address, weight);
#pragma unroll
  for (int i = 0; i < kUnit; ++i) {
    sums[i] += d_y[i] * n[i];
    d_y[i] *= weight[i];
    terms[i] = d_y[i] * n[i];
  }
  return SumOfUnit(terms);
}

/// The normalized elements.
template <class T>
__device__ inline void Normalize(const Packed<T, kUnit>& x, float rstd, float (&n)[kUnit]) {
  x.Unpack(n);
#pragma unroll
  for (int i = 0; i < kUnit; ++i) n[i] *= rstd;
}

/// Writes (g - n mean) rstd for one unit.
template <class T>
__device__ inline void StoreGradient(const float (&g)[kUnit], const float (&n)[kUnit], float mean, float rstd,
                                     T* address, Largest<T>& largest) {
  float values[kUnit];
#pragma unroll
  for (int i = 0; i < kUnit; ++i) values[i] = (g[i] - n[i] * mean) * rstd;
  const Packed<T, kUnit> stored = Packed<T, kUnit>::Of(values);
  stored.Store(address);
  largest.Take(stored);
}

/// Threads that a multiprocessor is to hold: 128 registers each in bf16, 255 in float32.
template <class T>
inline constexpr int kResidentThreads = sizeof(T) == 2 ? 512 : 256;

/// A token a warp, or a block where the part is wide; eight pairs a thread. x and the gradient are read once, in bf16 a
/// token's loads are in flight while the one before is worked on, and the gradient is written once: 6 N (H + Hk) K
/// bytes in bf16, and 2 N Hk K for absmax. The weight's gradient stays in registers until the end, and then takes 512
/// rows of float32 in the workspace.
template <class T, class Layout>
__global__ void __launch_bounds__(Layout::kThreads, kResidentThreads<T> / Layout::kThreads)
    QkNormRopeBackwardKernel(Operands<T> args) {
  constexpr bool kAhead = sizeof(T) == 2;  // float32 takes too many registers
  const PairPlace place(Layout::Column(0), args.head_size);
  const bool active = place.first < args.width;
  Positions positions(Layout::FirstRow(), Layout::RowStep(), args.positions);
  float sums_a[kUnit] = {};
  float sums_b[kUnit] = {};
  TokenUnit<T> next = {};
  const auto load = [&](std::int64_t token) {
    if (active && token < args.tokens) next.Load(args, token, place);
  };
  if (kAhead) load(Layout::FirstRow());
  typename Layout::Sums sum_of_row;
  Largest<T> largest;
  for (std::int64_t token = Layout::FirstRow(); token < args.tokens; token += Layout::RowStep()) {
    if (!kAhead) load(token);
    const TokenUnit<T> unit = next;
    if (kAhead) load(token + Layout::RowStep());
    T* const d = args.d + token * args.stride;
    float a[kUnit] = {};
    float b[kUnit] = {};
    float n_a[kUnit] = {};
    float n_b[kUnit] = {};
    float dot = 0.0f;
    if (active) {
      unit.d_a.Unpack(a);
      unit.d_b.Unpack(b);
      TurnPairs(args.table + positions.position() * args.head_size + place.angle, args.head_size / 2, -1.0f, a, b);
      Normalize(unit.x_a, unit.rstd, n_a);
      Normalize(unit.x_b, unit.rstd, n_b);
      dot = TakeUnit(n_a, args.weight + place.first, sums_a, a) + TakeUnit(n_b, args.weight + place.second, sums_b, b);
    }
    if (active && args.read_values) {
      largest.Take(unit.values_a);
      largest.Take(unit.values_b);
    }
    const float mean = sum_of_row(dot) / static_cast<float>(args.width);
    if (active) {
      StoreGradient(a, n_a, mean, unit.rstd, d + place.first, largest);
      StoreGradient(b, n_b, mean, unit.rstd, d + place.second, largest);
    }
    positions.Advance();
  }
  if (active) {
    float* const partials = args.partials + Layout::FirstRow() * args.width;
    StoreValues(partials + place.first, sums_a);
    StoreValues(partials + place.second, sums_b);
  }
  if (args.absmax != nullptr) ReportAbsMax<Layout::kThreads>(largest.bits(), args.absmax);
}

/// A term of the weight's gradient, for any head size.
template <class T>
struct WeightTerm {
  Operands<T> args;

  __device__ float operator()(std::int64_t token, std::int64_t column) const {
    const int half = args.head_size / 2;
    const int in_head = static_cast<int>(column % args.head_size);
    const bool is_second = in_head >= half;
    const float* const angles =
        args.table + token % args.positions * args.head_size + (is_second ? in_head - half : in_head);
    const std::int64_t own = token * args.stride + column;
    const std::int64_t first = is_second ? own - half : own;
    float a = ToFloat(args.d[first]);
    float b = ToFloat(args.d[first + half]);
    TurnPair(angles, half, -1.0f, a, b);
    return (is_second ? b : a) * (ToFloat(args.x[own]) * args.rstd[token]);
  }
};

constexpr int kAnySizeThreads = 256;

/// The gradient of x alone: a block a token, for any head size and alignment.
template <class T>
__global__ void __launch_bounds__(kAnySizeThreads) QkNormRopeBackwardAnySizeKernel(Operands<T> args) {
  const int half = args.head_size / 2;
  BlockSums<kAnySizeThreads> sum_of_row;
  Largest<T> largest;
  Positions positions(blockIdx.x, gridDim.x, args.positions);
  for (std::int64_t token = blockIdx.x; token < args.tokens; token += gridDim.x) {
    const T* const x = args.x + token * args.stride;
    T* const d = args.d + token * args.stride;
    const float rstd = args.rstd[token];
    const float* const angles = args.table + positions.position() * args.head_size;
    // Calls f(column, g, n) for both elements of this thread's pairs; f of a pair may overwrite its gradient.
    const auto for_each = [&](auto&& f) {
      for (int pair = static_cast<int>(threadIdx.x); pair < args.width / 2; pair += kAnySizeThreads) {
        const PairPlace place(pair, args.head_size);
        float a = ToFloat(d[place.first]);
        float b = ToFloat(d[place.second]);
        TurnPair(angles + place.angle, half, -1.0f, a, b);
        f(place.first, a * args.weight[place.first], ToFloat(x[place.first]) * rstd);
        f(place.second, b * args.weight[place.second], ToFloat(x[place.second]) * rstd);
      }
    };
    float sum = 0.0f;
    for_each([&](int, float g, float n) { sum += g * n; });
    const float mean = sum_of_row(sum) / static_cast<float>(args.width);
    for_each([&](int column, float g, float n) {
      d[column] = RoundTo<T>((g - n * mean) * rstd);
      largest.Take(d[column]);
    });
    for (int i = static_cast<int>(threadIdx.x); args.read_values && i < args.width; i += kAnySizeThreads) {
      largest.Take(d[args.width + i]);
    }
    positions.Advance();
  }
  if (args.absmax != nullptr) ReportAbsMax<kAnySizeThreads>(largest.bits(), args.absmax);
}

template <class T>
void LaunchAnySize(CudaDevice& device, const Operands<T>& args, bool accumulate, TensorView d_weight) {
  // The weight's gradient first: then the gradient is overwritten.
  SumColumns(device, WeightTerm<T>{args}, args.tokens, accumulate, d_weight);
  if (args.tokens == 0) return;
  const auto blocks = std::min<std::int64_t>(args.tokens, 64 * device.multiprocessors());
  QkNormRopeBackwardAnySizeKernel<T><<<static_cast<unsigned>(blocks), kAnySizeThreads, 0, device.stream()>>>(args);
  COAT_CUDA(cudaGetLastError());
}

template <class T>
void Launch(CudaDevice& device, Operands<T> args, bool accumulate, TensorView d_weight) {
  const bool in_vectors = args.tokens > 0 && args.head_size % (2 * kUnit) == 0 && IsAligned16(args.x) &&
                          IsAligned16(args.d) && IsAligned16(args.weight) && IsAligned16(args.table);
  const bool done =
      in_vectors && VisitThinRowLayout<kResidentThreads<T> / kWarpSize>(args.width / 2, [&]<class Layout>() {
        constexpr std::int64_t kRows = Layout::kRowsOfBlock;
        const std::int64_t blocks = std::min<std::int64_t>(DivideUp(args.tokens, kRows), kMaxPartialSums / kRows);
        args.partials = PartialSums(device, blocks * kRows, args.width);
        QkNormRopeBackwardKernel<T, Layout>
            <<<static_cast<unsigned>(blocks), Layout::kThreads, 0, device.stream()>>>(args);
        COAT_CUDA(cudaGetLastError());
        AddPartialSums(device, args.partials, blocks * kRows, accumulate, d_weight);
      });
  if (!done) LaunchAnySize(device, args, accumulate, d_weight);
}

}  // namespace

void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  const auto q_width = static_cast<int>(args.q_weight.elements());
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    Operands<T> operands = {.x = args.qkv.As<T>(),
                            .d = args.d_qkv.As<T>(),
                            .weight = args.q_weight.As<float>(),
                            .table = args.table.As<float>(),
                            .rstd = args.q_rstd.As<float>(),
                            .partials = nullptr,
                            .absmax = args.absmax.As<float>(),
                            .tokens = args.qkv.shape()[0],
                            .positions = args.table.shape()[0],
                            .stride = args.qkv.shape()[1],
                            .width = q_width,
                            .head_size = static_cast<int>(args.table.shape()[1]),
                            .read_values = false};
    Launch(device, operands, args.accumulate, args.d_q_weight);
    operands.x += q_width;
    operands.d += q_width;
    operands.weight = args.k_weight.As<float>();
    operands.rstd = args.k_rstd.As<float>();
    operands.width = static_cast<int>(args.k_weight.elements());
    operands.read_values = static_cast<bool>(args.absmax);
    Launch(device, operands, args.accumulate, args.d_k_weight);
  });
}

}  // namespace coat::cuda
