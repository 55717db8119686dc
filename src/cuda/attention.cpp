#include "ops/attention.h"

#include <cstdint>
#include <initializer_list>

#include "cuda/attention_cudnn.h"
#include "cuda/attention_extents.h"
#include "cuda/attention_plain.h"
#include "cuda/device.h"

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

/// Whether cuDNN computes it. Its kernels read and write 16 bytes at a time, and know no documents.
template <class Args>
bool IsForCudnn(const CudaDevice& device, const Args& args, const AttentionExtents& extents,
                std::initializer_list<const void*> data) {
  if (args.documents || args.qkv.dtype() != DType::kBF16 || !CudnnAttention::Takes(device, extents)) return false;
  for (const void* address : data) {
    if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0) return false;
  }
  return true;
}

}  // namespace

void AttentionForward(Context& ctx, const AttentionForwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const AttentionExtents extents = ExtentsOf(args);
  if (extents.tokens() == 0) return;
  if (IsForCudnn(device, args, extents, {args.qkv.data(), args.out.data()})) {
    device.Get<CudnnAttention>().Forward(args, extents);
  } else {
    PlainAttentionForward(device, args, extents);
  }
}

void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const AttentionExtents extents = ExtentsOf(args);
  if (extents.tokens() == 0) return;
  if (IsForCudnn(device, args, extents, {args.qkv.data(), args.out.data(), args.d_out.data(), args.d_qkv.data()})) {
    device.Get<CudnnAttention>().Backward(args, extents);
  } else {
    PlainAttentionBackward(device, args, extents);
  }
}

}  // namespace coat::cuda
