#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct CastArgs {
  ConstTensorView x;        // any shape, f32 or bf16
  TensorView y;             // of x's shape, f32 or bf16, written
  bool accumulate = false;  // y += x instead of y = x
};

/// y = x, or y += x. x and y may be the same tensor.
///
/// Rounding: once to y's type; a sum in float32 first. Exactness: bitwise. Throws ArgumentError unless shapes, types
/// and devices are as above. Source: torch's Tensor.to; the accumulation of gradients in PyTorch, which rounds every
/// sum to the gradient's type as this does.
void Cast(Context& ctx, const CastArgs& args);

namespace cpu {
void Cast(Context& ctx, const CastArgs& args);
}  // namespace cpu
namespace cuda {
void Cast(Context& ctx, const CastArgs& args);
}  // namespace cuda

}  // namespace coat
