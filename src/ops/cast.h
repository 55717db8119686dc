#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct CastArgs {
  ConstTensorView x;  // any shape, f32 or bf16
  TensorView y;       // of x's shape, f32 or bf16, written
};

/// y = x. Rounding: once to y's type. Exactness: bitwise. Throws ArgumentError unless shapes, types and devices are as
/// above. Source: torch's Tensor.to.
void Cast(Context& ctx, const CastArgs& args);

namespace cpu {
void Cast(Context& ctx, const CastArgs& args);
}  // namespace cpu
namespace cuda {
void Cast(Context& ctx, const CastArgs& args);
}  // namespace cuda

}  // namespace coat
