#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/weight.h"
#include "recipes/recipe.h"

namespace coat {

/// The input of a linear layer as forward leaves it for backward: in the compute type, or already as the operand.
struct LinearInput {
  ConstQuantizedView value;  // [N, in] plain, or in Recipe::linear_input
  TensorView absmax = {};    // [1] f32: written by Forward when value is plain and operands are per tensor
};

/// The gradient of a linear layer's output as its two products take it. In a plain recipe `transposed` is empty.
struct GradientOperands {
  ConstQuantizedView plain;       // [N, out]
  ConstQuantizedView transposed;  // [out, N]
};

/// Whether a layer's output gradient arises inside a block (babit) or is the residual stream's (bobit).
enum class GradientKind : std::uint8_t { kInner, kOuter };

/// y = x W^T without bias, in the operands of a recipe. N tokens; W [out, in].
///
/// Forward, the gradient of the input and the gradient of the weight are separate calls, since the blocks fuse what
/// lies between. Operands that a call makes live in `scratch` until the caller's scope ends.
class Linear {
 public:
  Linear(const Recipe& recipe, GradientKind kind)
      : recipe_(&recipe),
        gradient_format_(kind == GradientKind::kInner ? recipe.inner_gradient : recipe.outer_gradient),
        weight_(recipe, recipe.weight) {}

  void LayOut(const Parameter& parameter, Arena& weights) { weight_.LayOut(parameter, weights); }
  void RefreshWeight(Context& ctx) { weight_.Refresh(ctx); }
  void AccumulateGradient(bool accumulate) { weight_.AccumulateGradient(accumulate); }

  /// y [N, out] of the compute type.
  void Forward(Context& ctx, const LinearInput& x, TensorView y, Arena& scratch) const;
  /// Operands of d_y [N, out] of the compute type; `absmax` [1] f32 is its largest magnitude if that is known already.
  GradientOperands PrepareGradient(Context& ctx, ConstTensorView d_y, ConstTensorView absmax, Arena& scratch) const;
  /// d_x [N, in] of the compute type, written, or added to with `accumulate`.
  void BackwardInput(Context& ctx, const GradientOperands& d_y, TensorView d_x, Arena& scratch,
                     bool accumulate = false) const;
  /// Adds to the weight's gradient or writes it (AccumulateGradient), from the input as kept by forward.
  void BackwardWeight(Context& ctx, const GradientOperands& d_y, const LinearInput& x, Arena& scratch) const;
  /// The same from the input's transposed operand [in, N] in Recipe::linear_input_t. FP8 recipes only.
  void BackwardWeight(Context& ctx, const GradientOperands& d_y, const ConstQuantizedView& x_t) const;

 private:
  const Recipe* recipe_;
  Format gradient_format_;
  Weight weight_;
};

}  // namespace coat
