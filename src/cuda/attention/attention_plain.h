#pragma once

#include "cuda/attention/attention_extents.h"
#include "ops/attention.h"

namespace coat::cuda {

class CudaDevice;

/// Attention of any type and size, without tensor cores: float32 throughout, sums in ascending order of positions and
/// of heads. For what cuDNN does not take; tens of times slower.
void PlainAttentionForward(CudaDevice& device, const AttentionForwardArgs& args, const AttentionExtents& extents);
void PlainAttentionBackward(CudaDevice& device, const AttentionBackwardArgs& args, const AttentionExtents& extents);

}  // namespace coat::cuda
