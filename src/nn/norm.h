#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "recipes/recipe.h"

namespace coat {

/// What a LayerNorm leaves for backward: its output, which is also the input of the linear layer behind it.
struct NormSaved {
  QuantizedView y;    // [N, D] in Recipe::kept_norm
  TensorView rstd;    // [N] f32
  TensorView absmax;  // [1] f32, in per-tensor recipes

  LinearInput AsLinearInput() const { return {y, absmax}; }
};

/// The gradient of the residual stream on its way down.
struct ResidualGradient {
  TensorView d_x;     // [N, D] of the compute type
  TensorView absmax;  // [1] f32, its largest magnitude, kept up to date in per-tensor recipes; else empty
};

/// The residual add and non-affine LayerNorm at the head of each half of a block: x += branch, y = norm(x).
///
/// Where COAT keeps the norm in FP8 (Recipe::kept_norm is the linear layer's operand), y is coded as it is made.
class Norm {
 public:
  Norm(const Recipe& recipe, float eps) : recipe_(&recipe), eps_(eps) {}

  NormSaved LayOutSaved(std::string_view name, Shape x, Arena& saved) const;
  /// `branch` may be empty: then only the norm is taken.
  void Forward(Context& ctx, TensorView x, ConstTensorView branch, const NormSaved& saved, Arena& scratch) const;
  /// Adds the norm's gradient to the residual stream's, or starts it with `overwrite`.
  void Backward(Context& ctx, const NormSaved& saved, ConstTensorView d_y, const ResidualGradient& d_x,
                bool overwrite = false) const;

 private:
  const Recipe* recipe_;
  float eps_;
};

}  // namespace coat
