#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "recipes/recipe.h"

namespace coat {

/// The feed-forward half of a block: branch = ff_out(swiglu(ff_proj(norm(x + branch)))). h inner columns, F = 2 h.
///
/// COAT's CoatOLMoMLPResidual. COAT's recipe keeps up and gate in FP8 groups and recomputes silu and the product in
/// backward; the others keep up and gate in the compute type. The residual add is part of the norm that follows.
class MlpResidual {
 public:
  struct Config {
    std::int64_t hidden_width = 0;  // h
    float layer_norm_eps = 1e-5f;
  };
  struct Saved {
    NormSaved norm;
    QuantizedView up_gate;  // [N, 2 h] in Recipe::kept_up_gate
    TensorView absmax;      // [1] f32 of the product, in per-tensor recipes that do not keep groups
  };

  MlpResidual(const Config& config, const Recipe& recipe)
      : config_(config),
        norm_(recipe, config.layer_norm_eps),
        up_gate_(recipe, GradientKind::kInner),
        down_(recipe, GradientKind::kOuter),
        recipe_(&recipe) {}

  Linear& up_gate_projection() { return up_gate_; }
  Linear& down_projection() { return down_; }
  Saved LayOutSaved(Shape x, Arena& saved) const;
  /// `branch` is the attention's output on entry and this half's on return.
  void Forward(Context& ctx, TensorView x, TensorView branch, const Saved& saved, Arena& scratch) const;
  /// Fills `saved` again, with the same bytes, from x and `branch` as they were before Forward; makes no new branch.
  void Recompute(Context& ctx, TensorView x, ConstTensorView branch, const Saved& saved, Arena& scratch) const;
  void Backward(Context& ctx, const Saved& saved, const ResidualGradient& d_x, Arena& scratch) const;

 private:
  /// The operands of the gradient of up and gate; adds to the gradient of ff_out's weight on the way.
  GradientOperands BackwardThroughProduct(Context& ctx, const Saved& saved, const GradientOperands& d_branch,
                                          ConstTensorView d_product, Arena& scratch) const;

  Config config_;
  Norm norm_;
  Linear up_gate_;
  Linear down_;
  const Recipe* recipe_;
};

}  // namespace coat
