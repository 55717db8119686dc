#include "ops/adamw.h"

#include "cuda/tensor_table.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kTile = 4 * kThreads;  // elements
constexpr int kResidentBlocks = 5;   // a multiprocessor

/// One tensor. `vectors`: four elements at a time are aligned.
struct Entry {
  float* param;
  const void* grad;
  float* exp_avg;
  float* exp_avg_sq;
  const float* grad_scale;
  float* absmax;
  std::int64_t elements;
  float decay;
  bool vectors;
};

template <bool kSelective>
__device__ AdamWElement Update(const AdamWScalars& scalars, const AdamWElement& old, float grad) {
  const AdamWElement next = AdamWUpdate(scalars, old, grad);
  return kSelective && grad == 0.0f ? old : next;
}

/// Updates every tensor of the table; a block takes 1024 elements at a time, a thread four with 16-byte accesses. Reads
/// param, moments and gradients once, writes param and moments: 26 or 28 bytes an element.
template <class T, bool kSelective>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    AdamWKernel(const __grid_constant__ TensorTable<Entry> table, const __grid_constant__ AdamWScalars settings) {
  int at = 0;
  WarpAbsMax absmax;
  for (std::int64_t tile = blockIdx.x; tile < table.Tiles(); tile += gridDim.x) {
    const int found = table.Find(tile, at);
    if (found != at) absmax.Report(table.entries[at].absmax);
    at = found;
    const Entry& tensor = table.entries[at];
    const std::int64_t begin = (tile - table.first_tile[at]) * kTile;
    const float grad_scale = tensor.grad_scale != nullptr ? *tensor.grad_scale : 1.0f;
    AdamWScalars scalars = settings;
    scalars.decay = tensor.decay;
    if (tensor.vectors && begin + kTile <= tensor.elements) {
      const std::int64_t i = begin + 4 * threadIdx.x;
      auto* param = reinterpret_cast<Four<float>*>(tensor.param + i);
      auto* exp_avg = reinterpret_cast<Four<float>*>(tensor.exp_avg + i);
      auto* exp_avg_sq = reinterpret_cast<Four<float>*>(tensor.exp_avg_sq + i);
      const Four<T> g = *reinterpret_cast<const Four<T>*>(static_cast<const T*>(tensor.grad) + i);
      Four<float> p = *param, m = *exp_avg, v = *exp_avg_sq;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const AdamWElement next = Update<kSelective>(scalars, {p.x[j], m.x[j], v.x[j]}, ToFloat(g.x[j]) * grad_scale);
        p.x[j] = next.param;
        absmax.Add(next.param);
        m.x[j] = next.exp_avg;
        v.x[j] = next.exp_avg_sq;
      }
      *param = p;
      *exp_avg = m;
      *exp_avg_sq = v;
      continue;
    }
    for (std::int64_t i = begin + threadIdx.x; i < begin + kTile && i < tensor.elements; i += kThreads) {
      const float grad = ToFloat(static_cast<const T*>(tensor.grad)[i]) * grad_scale;
      const AdamWElement next =
          Update<kSelective>(scalars, {tensor.param[i], tensor.exp_avg[i], tensor.exp_avg_sq[i]}, grad);
      tensor.param[i] = next.param;
      absmax.Add(next.param);
      tensor.exp_avg[i] = next.exp_avg;
      tensor.exp_avg_sq[i] = next.exp_avg_sq;
    }
  }
  absmax.Report(table.entries[at].absmax);
}

/// Updates the tensors whose gradients are of type T.
template <class T>
void UpdateAll(const CudaDevice& device, const AdamWArgs& args, DType grads) {
  const AdamWScalars scalars(args.settings, 0.0);
  TensorTables<Entry> tables([&](const TensorTable<Entry>& table) {
    const unsigned blocks = PersistentBlocks(device, table.Tiles(), 1, kResidentBlocks);
    if (blocks == 0) return;
    const auto kernel = args.selective ? AdamWKernel<T, true> : AdamWKernel<T, false>;
    kernel<<<blocks, kThreads, 0, device.stream()>>>(table, scalars);
    COAT_CUDA(cudaGetLastError());
  });
  for (std::size_t t = 0; t < args.tensors.size(); ++t) {
    const AdamWTensor& tensor = args.tensors[t];
    if (tensor.grad.dtype() != grads) continue;
    const Entry entry = {
        .param = tensor.param.As<float>(),
        .grad = tensor.grad.data(),
        .exp_avg = tensor.exp_avg.As<float>(),
        .exp_avg_sq = tensor.exp_avg_sq.As<float>(),
        .grad_scale = tensor.grad_scale.As<float>(),
        .absmax = AbsMaxOfTensor(args.absmax, t),
        .elements = tensor.param.elements(),
        .decay = AdamWScalars(args.settings, tensor.weight_decay).decay,
        .vectors = IsAlignedTo(tensor.param.data(), 16) && IsAlignedTo(tensor.grad.data(), 4 * sizeof(T)) &&
                   IsAlignedTo(tensor.exp_avg.data(), 16) && IsAlignedTo(tensor.exp_avg_sq.data(), 16),
    };
    tables.Add(entry, (entry.elements + kTile - 1) / kTile);
  }
  tables.Flush();
}

}  // namespace

void AdamW(Context& ctx, const AdamWArgs& args) {
  StartAbsMax(DeviceOf(ctx), args.absmax);
  UpdateAll<float>(DeviceOf(ctx), args, DType::kF32);
  UpdateAll<BFloat16>(DeviceOf(ctx), args, DType::kBF16);
}

}  // namespace coat::cuda
