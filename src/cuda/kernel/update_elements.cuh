#pragma once
// An optimizer's update, element by element, of all parameters in one launch: what AdamW and LionW share.

#include <array>
#include <cstdint>

#include "base/divide.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/tensor_table.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

constexpr int kUpdateThreads = 256;
constexpr int kUpdateTile = 4 * kUpdateThreads;  // elements

/// One tensor with its moments, float32. `vectors`: four elements at a time are aligned.
template <int kMoments>
struct UpdateEntry {
  float* param;
  const void* grad;
  float* moments[kMoments];
  const float* grad_scale;
  float* absmax;
  std::int64_t elements;
  float decay;
  bool vectors;
};

/// Updates every tensor of the table; a block takes 1024 elements at a time, a thread four with 16-byte accesses. Reads
/// param, moments and gradients once, writes param and moments.
///
/// A Rule is an optimizer: kMoments, kResidentBlocks (a multiprocessor), its Scalars of a step, and Update(scalars,
/// param, moments, grad), which changes one element and its moments.
template <class Rule, class T, bool kSelective>
__global__ void __launch_bounds__(kUpdateThreads, ResidentBlocks(kUpdateThreads, Rule::kResidentBlocks))
    UpdateElementsKernel(const __grid_constant__ TensorTable<UpdateEntry<Rule::kMoments>> table,
                         const __grid_constant__ typename Rule::Scalars settings) {
  constexpr int kMoments = Rule::kMoments;
  int at = 0;
  WarpAbsMax absmax;
  for (std::int64_t tile = blockIdx.x; tile < table.Tiles(); tile += gridDim.x) {
    const int found = table.Find(tile, at);
    if (found != at) absmax.Report(table.entries[at].absmax);
    at = found;
    const UpdateEntry<kMoments>& tensor = table.entries[at];
    const std::int64_t begin = (tile - table.first_tile[at]) * kUpdateTile;
    const float grad_scale = tensor.grad_scale != nullptr ? *tensor.grad_scale : 1.0f;
    typename Rule::Scalars scalars = settings;
    scalars.decay = tensor.decay;
    const auto update = [&](float& param, float(&moments)[kMoments], T unscaled) {
      const float grad = ToFloat(unscaled) * grad_scale;
      float next_param = param;
      float next[kMoments];
#pragma unroll
      for (int k = 0; k < kMoments; ++k) next[k] = moments[k];
      Rule::Update(scalars, next_param, next, grad);
      const bool keep = kSelective && grad == 0.0f;
      param = keep ? param : next_param;
#pragma unroll
      for (int k = 0; k < kMoments; ++k) moments[k] = keep ? moments[k] : next[k];
      absmax.Add(param);
    };
    if (tensor.vectors && begin + kUpdateTile <= tensor.elements) {
      const std::int64_t i = begin + 4 * threadIdx.x;
      auto* param = reinterpret_cast<Four<float>*>(tensor.param + i);
      const Four<T> g = *reinterpret_cast<const Four<T>*>(static_cast<const T*>(tensor.grad) + i);
      Four<float>* stored[kMoments];  // pointers of their own: else nvcc makes four stores of one
#pragma unroll
      for (int k = 0; k < kMoments; ++k) stored[k] = reinterpret_cast<Four<float>*>(tensor.moments[k] + i);
      Four<float> p = *param, m[kMoments];
#pragma unroll
      for (int k = 0; k < kMoments; ++k) m[k] = *stored[k];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float moments[kMoments];
#pragma unroll
        for (int k = 0; k < kMoments; ++k) moments[k] = m[k].x[j];
        update(p.x[j], moments, g.x[j]);
#pragma unroll
        for (int k = 0; k < kMoments; ++k) m[k].x[j] = moments[k];
      }
      *param = p;
#pragma unroll
      for (int k = 0; k < kMoments; ++k) *stored[k] = m[k];
      continue;
    }
    for (std::int64_t i = begin + threadIdx.x; i < begin + kUpdateTile && i < tensor.elements; i += kUpdateThreads) {
      float param = tensor.param[i];
      float moments[kMoments];
#pragma unroll
      for (int k = 0; k < kMoments; ++k) moments[k] = tensor.moments[k][i];
      update(param, moments, static_cast<const T*>(tensor.grad)[i]);
      tensor.param[i] = param;
#pragma unroll
      for (int k = 0; k < kMoments; ++k) tensor.moments[k][i] = moments[k];
    }
  }
  absmax.Report(table.entries[at].absmax);
}

/// Updates the tensors whose gradients are of type T.
template <class Rule, class T, class Args>
void UpdateTensorsOf(const CudaDevice& device, const Args& args, DType grads) {
  using Entry = UpdateEntry<Rule::kMoments>;
  const typename Rule::Scalars scalars(args.settings, 0.0);
  TensorTables<Entry> tables([&](const TensorTable<Entry>& table) {
    const unsigned blocks = PersistentBlocks(device, table.Tiles(), 1, Rule::kResidentBlocks);
    if (blocks == 0) return;
    const auto kernel = args.selective ? UpdateElementsKernel<Rule, T, true> : UpdateElementsKernel<Rule, T, false>;
    kernel<<<blocks, kUpdateThreads, 0, device.stream()>>>(table, scalars);
    COAT_CUDA(cudaGetLastError());
  });
  for (std::size_t t = 0; t < args.tensors.size(); ++t) {
    const auto& tensor = args.tensors[t];
    if (tensor.grad.dtype() != grads) continue;
    Entry entry = {
        .param = tensor.param.template As<float>(),
        .grad = tensor.grad.data(),
        .moments = {},
        .grad_scale = tensor.grad_scale.template As<float>(),
        .absmax = AbsMaxOfTensor(args.absmax, t),
        .elements = tensor.param.elements(),
        .decay = typename Rule::Scalars(args.settings, tensor.weight_decay).decay,
        .vectors = IsAlignedTo(tensor.param.data(), 16) && IsAlignedTo(tensor.grad.data(), 4 * sizeof(T)),
    };
    const std::array<TensorView, Rule::kMoments> moments = Rule::MomentsOf(tensor);
    for (std::size_t k = 0; k < moments.size(); ++k) {
      entry.moments[k] = moments[k].template As<float>();
      entry.vectors = entry.vectors && IsAlignedTo(moments[k].data(), 16);
    }
    tables.Add(entry, DivideUp(entry.elements, kUpdateTile));
  }
  tables.Flush();
}

/// The op of an optimizer. Rule::MomentsOf(tensor) are the moments of one of args.tensors.
template <class Rule, class Args>
void UpdateTensors(Context& ctx, const Args& args) {
  const CudaDevice& device = DeviceOf(ctx);
  StartAbsMax(device, args.absmax);
  UpdateTensorsOf<Rule, float>(device, args, DType::kF32);
  UpdateTensorsOf<Rule, BFloat16>(device, args, DType::kBF16);
}

}  // namespace coat::cuda
