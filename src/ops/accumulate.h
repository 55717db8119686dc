#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct AccumulateArgs {
  ConstTensorView x;  // any shape, f32 or bf16
  TensorView y;       // of x's shape, f32 or bf16, added to
};

/// y += x. Rounding: the sum in float32, then once to y's type. Exactness: bitwise. Throws ArgumentError unless shapes,
/// types and devices are as above. Source: the accumulation of gradients in PyTorch, which rounds every sum to the
/// gradient's type as this does.
void Accumulate(Context& ctx, const AccumulateArgs& args);

namespace cpu {
void Accumulate(Context& ctx, const AccumulateArgs& args);
}  // namespace cpu
namespace cuda {
void Accumulate(Context& ctx, const AccumulateArgs& args);
}  // namespace cuda

}  // namespace coat
