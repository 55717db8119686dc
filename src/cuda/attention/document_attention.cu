#include "cuda/attention/document_attention.h"

#include <cmath>
#include <cstddef>

#include "base/divide.h"
#include "cuda/attention/document_attention_kernels.cuh"
#include "cuda/device/device.h"
#include "numerics/bfloat16.h"

namespace coat::cuda {

namespace {

constexpr int kNarrow = 64;
constexpr int kWide = 128;

template <class Args>
AttentionLayout LayoutOf(const Args& args, const AttentionExtents& extents) {
  return {extents, static_cast<float>(1.0 / std::sqrt(static_cast<double>(extents.head_size))),
          args.documents ? args.documents.template As<std::int32_t>() : nullptr};
}

/// Starts a kernel with a block for each tile of each of `heads` heads.
template <class Kernel, class... Arguments>
void Launch(CudaDevice& device, Kernel kernel, std::size_t shared_bytes, const AttentionExtents& x, std::int64_t heads,
            Arguments... arguments) {
  const std::int64_t tiles = DivideUp(x.positions, kDocumentRows);
  COAT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  kernel<<<static_cast<unsigned>(x.sequences * heads * tiles), kDocumentThreads, shared_bytes, device.stream()>>>(
      arguments...);
  COAT_CUDA(cudaGetLastError());
}

template <int kColumns>
void Forward(CudaDevice& device, const AttentionForwardArgs& args, const AttentionExtents& x) {
  Launch(device, DocumentForwardKernel<kColumns>, sizeof(ForwardTiles<kColumns>), x, x.heads, args.qkv.As<BFloat16>(),
         args.out.As<BFloat16>(), args.lse.As<float>(), LayoutOf(args, x));
}

template <int kColumns>
void Backward(CudaDevice& device, const AttentionBackwardArgs& args, const AttentionExtents& x) {
  Launch(device, DocumentQueryGradientKernel<kColumns>, sizeof(QueryGradientTiles<kColumns>), x, x.heads,
         args.qkv.As<BFloat16>(), args.out.As<BFloat16>(), args.lse.As<float>(), args.d_out.As<BFloat16>(),
         args.d_qkv.As<BFloat16>(), LayoutOf(args, x));
  Launch(device, DocumentKeyGradientKernel<kColumns>, sizeof(KeyGradientTiles<kColumns>), x, x.kv_heads,
         args.qkv.As<BFloat16>(), args.out.As<BFloat16>(), args.lse.As<float>(), args.d_out.As<BFloat16>(),
         args.d_qkv.As<BFloat16>(), LayoutOf(args, x));
}

}  // namespace

bool DocumentAttentionTakes(DType dtype, const AttentionExtents& extents) {
  return dtype == DType::kBF16 && extents.head_size % 8 == 0 && extents.head_size <= kWide;
}

void DocumentAttentionForward(CudaDevice& device, const AttentionForwardArgs& args, const AttentionExtents& extents) {
  if (extents.head_size <= kNarrow) {
    Forward<kNarrow>(device, args, extents);
  } else {
    Forward<kWide>(device, args, extents);
  }
}

void DocumentAttentionBackward(CudaDevice& device, const AttentionBackwardArgs& args, const AttentionExtents& extents) {
  if (extents.head_size <= kNarrow) {
    Backward<kNarrow>(device, args, extents);
  } else {
    Backward<kWide>(device, args, extents);
  }
}

}  // namespace coat::cuda
