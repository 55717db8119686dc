#pragma once

#include "base/dtype.h"
#include "cuda/attention/attention_extents.h"
#include "ops/attention.h"

namespace coat::cuda {

class CudaDevice;

/// Whether DocumentAttention has kernels for it: bfloat16 heads of up to 128 columns, a multiple of 8.
bool DocumentAttentionTakes(DType dtype, const AttentionExtents& extents);

/// Attention within documents on tensor cores; without documents, ordinary causal attention. Pointers must be multiples
/// of 16 bytes. Allocates nothing, and repeats bit for bit.
///
/// Rounding: products of bfloat16 in float32; softmax in float32; probabilities and gradients of scores once to
/// bfloat16 where they are multiplied; sums over the heads of a group in float32.
void DocumentAttentionForward(CudaDevice& device, const AttentionForwardArgs& args, const AttentionExtents& extents);
void DocumentAttentionBackward(CudaDevice& device, const AttentionBackwardArgs& args, const AttentionExtents& extents);

}  // namespace coat::cuda
