#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "nn/parameter.h"
#include "nn/residual.h"
#include "recipes/recipe.h"

namespace coat {

/// The feed-forward half of a block: branch = ff_out(swiglu(ff_proj(input))). h inner columns, F = 2 h.
///
/// COAT's CoatOLMoMLPResidual without its norm. COAT's recipe keeps up and gate in FP8 groups and recomputes silu and
/// the product in backward; the others keep up and gate in the compute type. The residual add is the norm's (HalfNorm).
class Mlp {
 public:
  struct Config {
    std::int64_t hidden_width = 0;  // h
  };
  struct Saved {
    QuantizedView up_gate;  // [N, 2 h] in Recipe::kept_output
    TensorView absmax;      // [1] f32 of the product, in per-tensor recipes that do not keep groups
  };

  Mlp(const Config& config, const Recipe& recipe)
      : config_(config),
        up_gate_(recipe, GradientKind::kInner),
        down_(recipe, GradientKind::kOuter),
        recipe_(&recipe) {}

  const Linear& up_gate_projection() const { return up_gate_; }
  void LayOut(const FindParameter& find, Arena& weights);
  void RefreshWeights(Context& ctx);
  void AccumulateGradients(bool accumulate);

  Saved LayOutSaved(std::int64_t tokens, Arena& saved) const;
  /// branch [N, D] of the compute type is written.
  void Forward(Context& ctx, const LinearInput& input, TensorView branch, const Saved& saved, Arena& scratch) const;
  /// Fills `saved` again, with the same bytes; makes no branch.
  void Recompute(Context& ctx, const LinearInput& input, const Saved& saved, Arena& scratch) const;
  /// From the branch's gradient to that of up and gate; adds to the gradient of ff_out's weight on the way.
  GradientOperands Backward(Context& ctx, const Saved& saved, const BranchGradient& gradient, Arena& scratch) const;

 private:
  /// The operands of the gradient of up and gate; adds to the gradient of ff_out's weight on the way.
  GradientOperands BackwardThroughProduct(Context& ctx, const Saved& saved, const GradientOperands& d_branch,
                                          ConstTensorView d_product, Arena& scratch) const;

  Config config_;
  Linear up_gate_;
  Linear down_;
  const Recipe* recipe_;
};

}  // namespace coat
