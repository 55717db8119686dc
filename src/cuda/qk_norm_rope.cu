#include "ops/qk_norm_rope.h"

#include <algorithm>
#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "cuda/qk_norm_rope.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

/// One launch is of all tokens' queries, or of their keys.
template <class T>
struct Operands {
  const T* x;  // the part in the first token
  T* rotated;
  const float* weight;
  const float* table;
  float* rstd;
  std::int64_t tokens;
  std::int64_t positions;
  std::int64_t stride;  // columns of a token
  int width;            // of the part
  int head_size;
  bool copy_values;  // the keys' launch copies values, which lie behind them and are as wide
  float eps;
};

template <class T>
__device__ inline float SumOfSquares(const Packed<T, kUnit>& x) {
  float squares[kUnit];
  x.Unpack(squares);
#pragma unroll
  for (int i = 0; i < kUnit; ++i) squares[i] *= squares[i];
  return SumOfUnit(squares);
}

/// values = weight * (x * rstd).
template <class T>
__device__ inline void Normalize(const Packed<T, kUnit>& x, float rstd, const float* weights, float (&values)[kUnit]) {
  float weight[kUnit];
  LoadValues(weights, weight);
  x.Unpack(values);
#pragma unroll
  for (int i = 0; i < kUnit; ++i) values[i] = weight[i] * (values[i] * rstd);
}

/// Threads that a multiprocessor is to hold: 64 registers each in bf16, 128 in float32.
template <class T>
inline constexpr int kResidentThreads = sizeof(T) == 2 ? 1024 : 512;

/// A token a warp, or a block where the part is wide; eight pairs a thread. The part is read and written once, the
/// values too if they are copied: 4 N (H + Hk) K bytes in bf16, and 4 N Hk K. Weights and angles come from the cache.
template <class T, class Layout>
__global__ void __launch_bounds__(Layout::kThreads, kResidentThreads<T> / Layout::kThreads)
    QkNormRopeForwardKernel(Operands<T> args) {
  using Elements = Packed<T, kUnit>;
  const int half = args.head_size / 2;
  const PairPlace place(Layout::Column(0), args.head_size);
  const bool active = place.first < args.width;
  Positions positions(Layout::FirstRow(), Layout::RowStep(), args.positions);
  typename Layout::Sums sum_of_row;
  for (std::int64_t token = Layout::FirstRow(); token < args.tokens; token += Layout::RowStep()) {
    const std::int64_t first = token * args.stride + place.first;
    Elements x_a = {};
    Elements x_b = {};
    if (active) {
      x_a = Elements::Load(args.x + first);
      x_b = Elements::Load(args.x + first + half);
    }
    if (active && args.copy_values) {
      const Elements v_a = Elements::Load(args.x + first + args.width);
      const Elements v_b = Elements::Load(args.x + first + args.width + half);
      v_a.Store(args.rotated + first + args.width);
      v_b.Store(args.rotated + first + args.width + half);
    }
    const float sum = sum_of_row(SumOfSquares(x_a) + SumOfSquares(x_b));
    const float rstd = RstdOf(sum / static_cast<float>(args.width), args.eps);
    if (place.first == 0) args.rstd[token] = rstd;
    if (active) {
      float a[kUnit];
      float b[kUnit];
      Normalize(x_a, rstd, args.weight + place.first, a);
      Normalize(x_b, rstd, args.weight + place.first + half, b);
      TurnPairs(args.table + positions.position() * args.head_size + place.angle, half, 1.0f, a, b);
      Elements::Of(a).Store(args.rotated + first);
      Elements::Of(b).Store(args.rotated + first + half);
    }
    positions.Advance();
  }
}

constexpr int kAnySizeThreads = 256;

/// A block a token, for any head size and alignment.
template <class T>
__global__ void __launch_bounds__(kAnySizeThreads) QkNormRopeForwardAnySizeKernel(Operands<T> args) {
  Positions positions(blockIdx.x, gridDim.x, args.positions);
  BlockSums<kAnySizeThreads> sum_of_row;
  for (std::int64_t token = blockIdx.x; token < args.tokens; token += gridDim.x) {
    const T* const x = args.x + token * args.stride;
    T* const rotated = args.rotated + token * args.stride;
    float sum = 0.0f;
    for (int i = static_cast<int>(threadIdx.x); i < args.width; i += kAnySizeThreads) {
      sum += ToFloat(x[i]) * ToFloat(x[i]);
      if (args.copy_values) rotated[args.width + i] = x[args.width + i];
    }
    const float rstd = RstdOf(sum_of_row(sum) / static_cast<float>(args.width), args.eps);
    if (threadIdx.x == 0) args.rstd[token] = rstd;
    const float* const angles = args.table + positions.position() * args.head_size;
    for (int pair = static_cast<int>(threadIdx.x); pair < args.width / 2; pair += kAnySizeThreads) {
      const PairPlace place(pair, args.head_size);
      float a = args.weight[place.first] * (ToFloat(x[place.first]) * rstd);
      float b = args.weight[place.second] * (ToFloat(x[place.second]) * rstd);
      TurnPair(angles + place.angle, args.head_size / 2, 1.0f, a, b);
      rotated[place.first] = RoundTo<T>(a);
      rotated[place.second] = RoundTo<T>(b);
    }
    positions.Advance();
  }
}

template <class T>
void Launch(CudaDevice& device, const Operands<T>& args) {
  const bool in_vectors = args.head_size % (2 * kUnit) == 0 && IsAligned16(args.x) && IsAligned16(args.rotated) &&
                          IsAligned16(args.weight) && IsAligned16(args.table);
  const bool done =
      in_vectors && VisitThinRowLayout<kResidentThreads<T> / kWarpSize>(args.width / 2, [&]<class Layout>() {
        QkNormRopeForwardKernel<T, Layout>
            <<<Layout::Blocks(args.tokens, device), Layout::kThreads, 0, device.stream()>>>(args);
      });
  if (!done) {
    const auto blocks = std::min<std::int64_t>(args.tokens, 64 * device.multiprocessors());
    QkNormRopeForwardAnySizeKernel<T><<<static_cast<unsigned>(blocks), kAnySizeThreads, 0, device.stream()>>>(args);
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args) {
  if (args.qkv.elements() == 0) return;
  CudaDevice& device = DeviceOf(ctx);
  const auto head_size = static_cast<int>(args.table.shape()[1]);
  const auto q_width = static_cast<int>(args.q_weight.elements());
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    Operands<T> operands = {.x = args.qkv.As<T>(),
                            .rotated = args.rotated.As<T>(),
                            .weight = args.q_weight.As<float>(),
                            .table = args.table.As<float>(),
                            .rstd = args.q_rstd.As<float>(),
                            .tokens = args.qkv.shape()[0],
                            .positions = args.table.shape()[0],
                            .stride = args.qkv.shape()[1],
                            .width = q_width,
                            .head_size = head_size,
                            .copy_values = false,
                            .eps = args.eps};
    Launch(device, operands);
    operands.x += q_width;
    operands.rotated += q_width;
    operands.weight = args.k_weight.As<float>();
    operands.rstd = args.k_rstd.As<float>();
    operands.width = static_cast<int>(args.k_weight.elements());
    operands.copy_values = args.qkv.data() != args.rotated.data();
    Launch(device, operands);
  });
}

}  // namespace coat::cuda
