#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"

namespace coat {

/// The residual stream on its way up, and the output of the half block that ran last.
struct ResidualStream {
  TensorView x;                    // [N, D] of the compute type
  TensorView branch;               // [N, D] of the compute type
  bool branch_is_pending = false;  // branch has yet to be added to x
  TensorView absmax = {};          // [1] f32, x's largest magnitude, kept up to date where halves code x itself
};

/// The stream of a model or a block that starts with x: lays out its other tensors, absmax with `measured` only, and
/// measures x.
ResidualStream StartStream(Context& ctx, TensorView x, bool measured, Arena& scratch);

/// The gradient of the residual stream on its way down.
struct ResidualGradient {
  TensorView d_x;     // [N, D] of the compute type
  TensorView absmax;  // [1] f32, its largest magnitude, kept up to date where it is also a branch's gradient
};

/// The gradient of the output of a half block.
struct BranchGradient {
  ConstTensorView d_branch;  // [N, D] of the compute type
  ConstTensorView absmax;    // [1] f32, its largest magnitude, in per-tensor recipes; else empty
};

}  // namespace coat
