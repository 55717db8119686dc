#pragma once

#include "base/context.h"
#include "base/tensor.h"
#include "numerics/adamw.h"

namespace coat {

struct LionWArgs {
  TensorView param;                 // [...] f32, updated
  ConstTensorView grad;             // of param's shape, f32 or bf16, finite
  TensorView exp_avg;               // of param's shape, f32, updated
  ConstTensorView grad_scale = {};  // [1] f32, by which the gradient is multiplied; 1 when it is missing
  LionWSettings settings;
  bool selective = false;  // leave alone the elements whose gradient, after the scale, is 0
};

/// One Lion update of a tensor: LionWUpdate of numerics/adamw.h on each element.
///
/// Rounding: grad * grad_scale in float32, then as LionWUpdate. Exactness: bitwise. Throws ArgumentError unless shapes,
/// types, devices and settings are as above. Source: OLMo's LionW.
void LionW(Context& ctx, const LionWArgs& args);

namespace cpu {
void LionW(Context& ctx, const LionWArgs& args);
}  // namespace cpu
namespace cuda {
void LionW(Context& ctx, const LionWArgs& args);
}  // namespace cuda

}  // namespace coat
