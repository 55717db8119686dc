#pragma once

#include <span>

#include "base/context.h"
#include "base/tensor.h"
#include "numerics/adamw.h"

namespace coat {

/// One parameter of an update.
struct AdamWTensor {
  TensorView param;                 // [...] f32, updated
  ConstTensorView grad;             // of param's shape, f32 or bf16, finite
  TensorView exp_avg;               // of param's shape, f32, updated
  TensorView exp_avg_sq;            // of param's shape, f32, updated
  ConstTensorView grad_scale = {};  // [1] f32, by which the gradient is multiplied; 1 when it is missing
  double weight_decay = 0.0;
};

struct AdamWArgs {
  std::span<const AdamWTensor> tensors;  // apart in memory
  AdamWSettings settings;                // betas from 0 to below 1, eps >= 2^-126, step >= 1
  bool selective = false;                // leave alone the elements whose gradient, after the scale, is 0
  TensorView absmax = {};  // [tensors] f32, written: the largest magnitude of each updated parameter; may be missing
};

/// One AdamW update of all tensors: AdamWUpdate of numerics/adamw.h on each element.
///
/// Rounding: grad * grad_scale in float32, then as AdamWUpdate; absmax as the op AbsMax. Exactness: bitwise. Throws
/// ArgumentError unless shapes, types, devices and settings are as above. Source: OLMo's AdamW (torch.optim.AdamW with
/// selective updates).
void AdamW(Context& ctx, const AdamWArgs& args);

namespace cpu {
void AdamW(Context& ctx, const AdamWArgs& args);
}  // namespace cpu
namespace cuda {
void AdamW(Context& ctx, const AdamWArgs& args);
}  // namespace cuda

}  // namespace coat
