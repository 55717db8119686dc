#include "ops/attention.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "cuda/attention/attention_choice.h"
#include "cuda/attention/attention_cudnn.h"
#include "cuda/attention/attention_extents.h"
#include "cuda/attention/attention_plain.h"
#include "cuda/attention/document_attention.h"
#include "cuda/device/device.h"

namespace coat::cuda {

namespace {

template <class Args>
AttentionExtents ExtentsOf(const Args& args) {
  const Shape& lse = args.lse.shape();
  return {.sequences = lse[0],
          .positions = lse[2],
          .heads = args.heads,
          .kv_heads = args.kv_heads,
          .head_size = args.out.shape()[1] / args.heads};
}

enum class Kernels { kCudnn, kDocument, kPlain };

/// Which kernels compute it. Those on tensor cores read and write 16 bytes at a time; cuDNN's know no documents, and
/// are taken if `cudnn` allows it.
template <class Args>
Kernels KernelsFor(CudaDevice& device, const Args& args, const AttentionExtents& extents,
                   std::initializer_list<const void*> data, bool cudnn = true) {
  AttentionChoice& choice = device.Get<AttentionChoice>();
  const auto is_aligned = [](const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; };
  if (args.qkv.dtype() == DType::kBF16 && std::all_of(data.begin(), data.end(), is_aligned)) {
    if (cudnn && !args.documents && CudnnAttention::Takes(device, extents)) {
      choice.Note("cuDNN's");
      return Kernels::kCudnn;
    }
    if (DocumentAttentionTakes(args.qkv.dtype(), extents)) {
      choice.Note("our own tensor-core");
      return Kernels::kDocument;
    }
  }
  choice.Note("our own plain");
  return Kernels::kPlain;
}

}  // namespace

void AttentionForward(Context& ctx, const AttentionForwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const AttentionExtents extents = ExtentsOf(args);
  if (extents.tokens() == 0) return;
  switch (KernelsFor(device, args, extents, {args.qkv.data(), args.out.data()})) {
    case Kernels::kCudnn:
      return device.Get<CudnnAttention>().Forward(args, extents);
    case Kernels::kDocument:
      return DocumentAttentionForward(device, args, extents);
    case Kernels::kPlain:
      return PlainAttentionForward(device, args, extents);
  }
}

void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const AttentionExtents extents = ExtentsOf(args);
  if (extents.tokens() == 0) return;
  switch (KernelsFor(device, args, extents, {args.qkv.data(), args.out.data(), args.d_out.data(), args.d_qkv.data()},
                     CudnnAttention::BackwardIsAsAsked(device))) {
    case Kernels::kCudnn:
      return device.Get<CudnnAttention>().Backward(args, extents);
    case Kernels::kDocument:
      return DocumentAttentionBackward(device, args, extents);
    case Kernels::kPlain:
      return PlainAttentionBackward(device, args, extents);
  }
}

}  // namespace coat::cuda
