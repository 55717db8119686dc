#pragma once

#include <span>

#include "base/context.h"
#include "base/tensor.h"
#include "numerics/lion.h"

namespace coat {

/// One parameter of an update.
struct LionWTensor {
  TensorView param;                 // [...] f32, updated
  ConstTensorView grad;             // of param's shape, f32 or bf16, finite
  TensorView exp_avg;               // of param's shape, f32, updated
  ConstTensorView grad_scale = {};  // [1] f32, by which the gradient is multiplied; 1 when it is missing
  double weight_decay = 0.0;
};

struct LionWArgs {
  std::span<const LionWTensor> tensors;  // apart in memory
  LionWSettings settings;                // betas from 0 to below 1
  bool selective = false;                // leave alone the elements whose gradient, after the scale, is 0
  TensorView absmax = {};  // [tensors] f32, written: the largest magnitude of each updated parameter; may be missing
};

/// One Lion update of all tensors: LionWUpdate of numerics/lion.h on each element.
///
/// Rounding: grad * grad_scale in float32, then as LionWUpdate; absmax as the op AbsMax. Exactness: bitwise. Throws
/// ArgumentError unless shapes, types, devices and settings are as above. Source: OLMo's LionW.
void LionW(Context& ctx, const LionWArgs& args);

namespace cpu {
void LionW(Context& ctx, const LionWArgs& args);
}  // namespace cpu
namespace cuda {
void LionW(Context& ctx, const LionWArgs& args);
}  // namespace cuda

}  // namespace coat
