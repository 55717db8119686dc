#include "ops/coat_adamw.h"

#include <cstdint>
#include <type_traits>

#include "base/divide.h"
#include "cuda/expansion.cuh"
#include "cuda/kernel/fp8.cuh"
#include "cuda/kernel/tensor_table.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kFastGroup = 128;  // four elements a lane
constexpr int kGroupsAtOnce = 4;
constexpr int kFastTile = kGroupsAtOnce * kFastGroup;  // elements
constexpr int kFastBlocks = 2;                         // a multiprocessor
constexpr int kLargestGroup = 256;
constexpr int kGeneralBlocks = 3;

struct Moment {
  std::uint8_t* codes;
  float* absmax;
  float* exponent;  // null if it is not expanded
};

/// One tensor, or whole groups of one.
struct Entry {
  float* param;
  const void* grad;
  const float* grad_scale;
  float* absmax;
  Moment exp_avg;
  Moment exp_avg_sq;
  std::int64_t elements;
  float decay;
};

struct Settings {
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float eps, step_size, reciprocal_of_root_correction;
  float expand_min, reciprocal_of_expand_min;
  int group;
};

/// AdamWUpdate of numerics/adamw.h with fused multiply-adds and an approximate root and quotient.
__device__ AdamWElement Update(const Settings& s, float decay, const AdamWElement& old, float grad) {
  constexpr float kLargest = 3.40282347e38f;
  AdamWElement next;
  next.exp_avg = fmaf(s.beta1, old.exp_avg, s.one_minus_beta1 * grad);
  next.exp_avg_sq = fminf(fmaf(s.beta2, old.exp_avg_sq, s.one_minus_beta2 * (grad * grad)), kLargest);
  const float denominator = fmaf(ApproximateRoot(next.exp_avg_sq), s.reciprocal_of_root_correction, s.eps);
  const float quotient = next.exp_avg * ApproximateReciprocal(denominator);
  next.param = old.param - fmaf(s.step_size, quotient, decay * old.param);
  return next;
}

/// The tables of logarithms of two formats; one if they are the same.
template <class F1, class F2>
inline constexpr int kLogTables = std::is_same_v<F1, F2> ? 1 : 2;

template <class F1, class F2>
__device__ void FillLogTables(float (&logs)[kLogTables<F1, F2>][LogTable::kFloats]) {
  LogTable::Fill<F1>(logs[0]);
  if constexpr (kLogTables<F1, F2> == 2) LogTable::Fill<F2>(logs[1]);
  __syncthreads();
}

/// Encodes a lane's four elements of a group that the warp has, and notes the group's absmax and exponent.
template <class F, bool kSigned>
__device__ Codes<4> EncodeFour(const Settings& settings, const float (&x)[4], float& absmax, float& exponent) {
  Extremes extremes;
#pragma unroll
  for (int j = 0; j < 4; ++j) extremes.Add(x[j]);
  extremes.Reduce();
  const Expansion expansion = ExpansionOf<F>(extremes, settings.expand_min, settings.reciprocal_of_expand_min);
  absmax = extremes.absmax();
  exponent = expansion.exponent;
  float scaled[4] = {x[0], x[1], x[2], x[3]};
  if (expansion.scale != 1.0f) {
#pragma unroll
    for (int j = 0; j < 4; ++j) scaled[j] *= expansion.scale;
  }
  float expanded[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) expanded[j] = ExpandApproximately<F, kSigned>(x[j], scaled[j], expansion);
  return EncodeScaled<F>(expanded, 1.0f);  // numbers all
}

/// Updates whole runs of four groups of 128, both moments expanded; `table` has nothing else, and all is aligned. A
/// warp takes a run at a time, a lane four neighbors of each group: 16-byte accesses to the parameter, 4-byte ones to
/// codes, one 16-byte access to the four groups' metadata. 14.25 bytes an element with bfloat16 gradients, read and
/// written once; about 85 instructions and 10 special functions an element, which is what must not grow.
template <class T, class F1, class F2>
__global__ void __launch_bounds__(kThreads, kFastBlocks)
    ExpandedGroupsKernel(const __grid_constant__ TensorTable<Entry> table, const __grid_constant__ Settings settings) {
  __shared__ float logs[kLogTables<F1, F2>][LogTable::kFloats];
  FillLogTables<F1, F2>(logs);
  const std::byte* const logs_of_first = LogTable::Column(logs[0]);
  const std::byte* const logs_of_second = LogTable::Column(logs[kLogTables<F1, F2> - 1]);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  int at = 0;
  WarpAbsMax absmax;
  for (std::int64_t tile = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarpSize; tile < table.Tiles();
       tile += std::int64_t{gridDim.x} * kWarps) {
    const int found = table.Find(tile, at);
    if (found != at) absmax.Report(table.entries[at].absmax);
    at = found;
    const Entry& tensor = table.entries[at];
    const std::int64_t run = tile - table.first_tile[at];
    const std::int64_t begin = run * kFastTile + 4 * lane;
    auto* param = reinterpret_cast<Four<float>*>(tensor.param + begin);
    auto* codes_m = reinterpret_cast<Codes<4>*>(tensor.exp_avg.codes + begin);
    auto* codes_v = reinterpret_cast<Codes<4>*>(tensor.exp_avg_sq.codes + begin);
    const auto* grad = reinterpret_cast<const Four<T>*>(static_cast<const T*>(tensor.grad) + begin);
    Four<float> p[kGroupsAtOnce];
    Four<T> g[kGroupsAtOnce];
    Codes<4> m_codes[kGroupsAtOnce], v_codes[kGroupsAtOnce];
#pragma unroll
    for (int u = 0; u < kGroupsAtOnce; ++u) {
      p[u] = param[u * kWarpSize];
      g[u] = grad[u * kWarpSize];
      m_codes[u] = codes_m[u * kWarpSize];
      v_codes[u] = codes_v[u * kWarpSize];
    }
    Four<float> m_absmax = reinterpret_cast<Four<float>*>(tensor.exp_avg.absmax)[run];
    Four<float> m_exponent = reinterpret_cast<Four<float>*>(tensor.exp_avg.exponent)[run];
    Four<float> v_absmax = reinterpret_cast<Four<float>*>(tensor.exp_avg_sq.absmax)[run];
    Four<float> v_exponent = reinterpret_cast<Four<float>*>(tensor.exp_avg_sq.exponent)[run];
    const float grad_scale = tensor.grad_scale != nullptr ? *tensor.grad_scale : 1.0f;
    const float decay = tensor.decay;
#pragma unroll
    for (int u = 0; u < kGroupsAtOnce; ++u) {
      const float m_reciprocal = ApproximateReciprocal(m_exponent.x[u]);
      const float v_reciprocal = ApproximateReciprocal(v_exponent.x[u]);
      float m[4], v[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const std::uint32_t m_word = m_codes[u].words[0], v_word = v_codes[u].words[0];
        const float old_m =
            DecodeApproximately<true>(m_word, j, LogTable::Find(logs_of_first, m_word, j), m_absmax.x[u], m_reciprocal);
        const float old_v = DecodeApproximately<false>(v_word, j, LogTable::Find(logs_of_second, v_word, j),
                                                       v_absmax.x[u], v_reciprocal);
        const AdamWElement next = Update(settings, decay, {p[u].x[j], old_m, old_v}, ToFloat(g[u].x[j]) * grad_scale);
        p[u].x[j] = next.param;
        absmax.Add(next.param);
        m[j] = next.exp_avg;
        v[j] = next.exp_avg_sq;
      }
      param[u * kWarpSize] = p[u];
      codes_m[u * kWarpSize] = EncodeFour<F1, true>(settings, m, m_absmax.x[u], m_exponent.x[u]);
      codes_v[u * kWarpSize] = EncodeFour<F2, false>(settings, v, v_absmax.x[u], v_exponent.x[u]);
    }
    if (lane == 0) {
      reinterpret_cast<Four<float>*>(tensor.exp_avg.absmax)[run] = m_absmax;
      reinterpret_cast<Four<float>*>(tensor.exp_avg.exponent)[run] = m_exponent;
      reinterpret_cast<Four<float>*>(tensor.exp_avg_sq.absmax)[run] = v_absmax;
      reinterpret_cast<Four<float>*>(tensor.exp_avg_sq.exponent)[run] = v_exponent;
    }
  }
  absmax.Report(table.entries[at].absmax);
}

/// A lane's elements of a group, every 32nd.
constexpr int kLaneElements = kLargestGroup / kWarpSize;

/// How a group was encoded. A moment that is not expanded has exponents of 1.
struct StoredGroup {
  float absmax;
  float reciprocal_of_exponent;

  __device__ StoredGroup(const Moment& moment, std::int64_t g)
      : absmax(moment.absmax[g]),
        reciprocal_of_exponent(moment.exponent != nullptr ? ApproximateReciprocal(moment.exponent[g]) : 1.0f) {}
};

/// Encodes group `g`: of `count` elements from `begin` on, of which the lane has every 32nd in `x`, and 0 beyond.
template <class F, bool kSigned>
__device__ void EncodeGroup(const Settings& settings, const Moment& moment, std::int64_t g, std::int64_t begin,
                            int count, const float (&x)[kLaneElements]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  Extremes extremes;
#pragma unroll
  for (int j = 0; j < kLaneElements; ++j) extremes.Add(x[j]);
  extremes.Reduce();
  Expansion expansion = ExpansionOf<F>(extremes, settings.expand_min, settings.reciprocal_of_expand_min);
  if (moment.exponent == nullptr) expansion.exponent = 1.0f;
  if (lane == 0) {
    moment.absmax[g] = extremes.absmax();
    if (moment.exponent != nullptr) moment.exponent[g] = expansion.exponent;
  }
#pragma unroll
  for (int first = 0; first < kLaneElements; first += 4) {
    if (first * kWarpSize >= count) break;
    float expanded[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float value = x[first + j];
      expanded[j] = ExpandApproximately<F, kSigned>(value, value * expansion.scale, expansion);
    }
    const std::uint32_t codes = EncodeScaled<F>(expanded, 1.0f).words[0];  // numbers all
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int i = lane + (first + j) * kWarpSize;
      if (i < count) moment.codes[begin + i] = static_cast<std::uint8_t>(codes >> (8 * j));
    }
  }
}

/// Updates groups of any size, the last of a tensor perhaps smaller, expanded or not, at any address; a warp a group.
template <class T, class F1, class F2>
__global__ void __launch_bounds__(kThreads, kGeneralBlocks)
    GroupsKernel(const __grid_constant__ TensorTable<Entry> table, const __grid_constant__ Settings settings) {
  __shared__ float logs[kLogTables<F1, F2>][LogTable::kFloats];
  FillLogTables<F1, F2>(logs);
  const std::byte* const logs_of_first = LogTable::Column(logs[0]);
  const std::byte* const logs_of_second = LogTable::Column(logs[kLogTables<F1, F2> - 1]);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  int at = 0;
  WarpAbsMax absmax;
  for (std::int64_t tile = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarpSize; tile < table.Tiles();
       tile += std::int64_t{gridDim.x} * kWarps) {
    const int found = table.Find(tile, at);
    if (found != at) absmax.Report(table.entries[at].absmax);
    at = found;
    const Entry& tensor = table.entries[at];
    const std::int64_t g = tile - table.first_tile[at];
    const std::int64_t begin = g * settings.group;
    const auto count = static_cast<int>(min(std::int64_t{settings.group}, tensor.elements - begin));
    const float grad_scale = tensor.grad_scale != nullptr ? *tensor.grad_scale : 1.0f;
    const StoredGroup old_m(tensor.exp_avg, g), old_v(tensor.exp_avg_sq, g);
    // All loads before the first store. Elements beyond the group stay zeros, which change nothing.
    float p[kLaneElements], grads[kLaneElements], m[kLaneElements] = {}, v[kLaneElements] = {};
    std::uint32_t m_codes[kLaneElements], v_codes[kLaneElements];
#pragma unroll
    for (int j = 0; j < kLaneElements; ++j) {
      if (lane + j * kWarpSize >= count) continue;
      const std::int64_t i = begin + lane + j * kWarpSize;
      p[j] = tensor.param[i];
      grads[j] = ToFloat(static_cast<const T*>(tensor.grad)[i]) * grad_scale;
      m_codes[j] = tensor.exp_avg.codes[i];
      v_codes[j] = tensor.exp_avg_sq.codes[i];
    }
#pragma unroll
    for (int j = 0; j < kLaneElements; ++j) {
      if (lane + j * kWarpSize >= count) continue;
      const AdamWElement old = {p[j],
                                DecodeApproximately<true>(m_codes[j], 0, LogTable::Find(logs_of_first, m_codes[j], 0),
                                                          old_m.absmax, old_m.reciprocal_of_exponent),
                                DecodeApproximately<false>(v_codes[j], 0, LogTable::Find(logs_of_second, v_codes[j], 0),
                                                           old_v.absmax, old_v.reciprocal_of_exponent)};
      const AdamWElement next = Update(settings, tensor.decay, old, grads[j]);
      tensor.param[begin + lane + j * kWarpSize] = next.param;
      absmax.Add(next.param);
      m[j] = next.exp_avg;
      v[j] = next.exp_avg_sq;
    }
    __syncwarp();  // the group's old absmax has been read
    EncodeGroup<F1, true>(settings, tensor.exp_avg, g, begin, count, m);
    EncodeGroup<F2, false>(settings, tensor.exp_avg_sq, g, begin, count, v);
  }
  absmax.Report(table.entries[at].absmax);
}

Settings SettingsOf(const CoatAdamWArgs& args) {
  const AdamWScalars scalars(args.settings, 0.0);
  const auto expand_min = static_cast<float>(args.expand_min);
  return {.beta1 = scalars.beta1,
          .one_minus_beta1 = scalars.one_minus_beta1,
          .beta2 = scalars.beta2,
          .one_minus_beta2 = scalars.one_minus_beta2,
          .eps = scalars.eps,
          .step_size = scalars.step_size,
          .reciprocal_of_root_correction = 1.0f / scalars.root_correction,
          .expand_min = expand_min,
          .reciprocal_of_expand_min = 1.0f / expand_min,
          .group = static_cast<int>(args.group)};
}

Entry EntryOf(const CoatAdamWArgs& args, std::size_t t) {
  const CoatAdamWTensor& tensor = args.tensors[t];
  const auto moment_of = [](const ExpandedMoment& moment) {
    return Moment{moment.codes.As<std::uint8_t>(), moment.absmax.As<float>(), moment.exponent.As<float>()};
  };
  return {.param = tensor.param.As<float>(),
          .grad = tensor.grad.data(),
          .grad_scale = tensor.grad_scale.As<float>(),
          .absmax = AbsMaxOfTensor(args.absmax, t),
          .exp_avg = moment_of(tensor.exp_avg),
          .exp_avg_sq = moment_of(tensor.exp_avg_sq),
          .elements = tensor.param.elements(),
          .decay = AdamWScalars(args.settings, tensor.weight_decay).decay};
}

/// Elements from the start that ExpandedGroupsKernel can take.
template <class T>
std::int64_t FastElements(const Entry& entry, std::int64_t group) {
  const auto aligned = [](const Moment& moment) {
    return moment.exponent != nullptr && IsAlignedTo(moment.codes, 4) && IsAlignedTo(moment.absmax, 16) &&
           IsAlignedTo(moment.exponent, 16);
  };
  const bool fast = group == kFastGroup && IsAlignedTo(entry.param, 16) && IsAlignedTo(entry.grad, 4 * sizeof(T)) &&
                    aligned(entry.exp_avg) && aligned(entry.exp_avg_sq);
  return fast ? entry.elements / kFastTile * kFastTile : 0;
}

/// The part of a tensor behind its first `elements`, a multiple of `group`.
template <class T>
Entry Behind(const Entry& entry, std::int64_t elements, std::int64_t group) {
  const auto behind = [&](const Moment& moment) {
    const std::int64_t groups = elements / group;
    return Moment{moment.codes + elements, moment.absmax + groups,
                  moment.exponent == nullptr ? nullptr : moment.exponent + groups};
  };
  Entry rest = entry;
  rest.param += elements;
  rest.grad = static_cast<const T*>(entry.grad) + elements;
  rest.exp_avg = behind(entry.exp_avg);
  rest.exp_avg_sq = behind(entry.exp_avg_sq);
  rest.elements -= elements;
  return rest;
}

/// Updates the tensors whose gradients are of type T.
template <class T, class F1, class F2>
void UpdateAll(const CudaDevice& device, const CoatAdamWArgs& args, DType grads) {
  const Settings settings = SettingsOf(args);
  const auto launch_with = [&](auto kernel, int resident) {
    return [&device, settings, kernel, resident](const TensorTable<Entry>& table) {
      kernel<<<PersistentBlocks(device, table.Tiles(), kWarps, resident), kThreads, 0, device.stream()>>>(table,
                                                                                                          settings);
      COAT_CUDA(cudaGetLastError());
    };
  };
  TensorTables<Entry> fast(launch_with(ExpandedGroupsKernel<T, F1, F2>, kFastBlocks));
  TensorTables<Entry> general(launch_with(GroupsKernel<T, F1, F2>, kGeneralBlocks));
  for (std::size_t t = 0; t < args.tensors.size(); ++t) {
    if (args.tensors[t].grad.dtype() != grads) continue;
    const Entry whole = EntryOf(args, t);
    const std::int64_t fast_elements = FastElements<T>(whole, args.group);
    if (fast_elements > 0) fast.Add(whole, fast_elements / kFastTile);
    const Entry rest = Behind<T>(whole, fast_elements, args.group);
    if (rest.elements > 0) general.Add(rest, DivideUp(rest.elements, args.group));
  }
  fast.Flush();
  general.Flush();
}

}  // namespace

void CoatAdamW(Context& ctx, const CoatAdamWArgs& args) {
  if (args.tensors.empty()) return;
  const CudaDevice& device = DeviceOf(ctx);
  StartAbsMax(device, args.absmax);
  VisitFp8(args.tensors[0].exp_avg.codes.dtype(), [&]<class F1>() {
    VisitFp8(args.tensors[0].exp_avg_sq.codes.dtype(), [&]<class F2>() {
      UpdateAll<float, F1, F2>(device, args, DType::kF32);
      UpdateAll<BFloat16, F1, F2>(device, args, DType::kBF16);
    });
  });
}

}  // namespace coat::cuda
