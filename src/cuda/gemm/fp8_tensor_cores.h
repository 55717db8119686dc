#pragma once

#include "base/tensor.h"

namespace coat::cuda {

/// Whether devices of this compute capability (90 for 9.0) multiply FP8 operands that are scaled so: from Ada on those
/// of one scale a tensor; Hopper alone those of float32 scales of groups and blocks.
constexpr bool HasFp8TensorCores(int compute_capability, Scaling scaling) {
  return scaling == Scaling::kTensor ? compute_capability >= 89 : compute_capability == 90;
}

}  // namespace coat::cuda
