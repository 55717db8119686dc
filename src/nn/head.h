#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/weight.h"
#include "recipes/recipe.h"

namespace coat {

/// What the loss of a micro-batch is made of, and what its gradient is weighted with.
struct LossTerms {
  ConstTensorView labels;   // [N] i32, negative: ignored
  TensorView loss;          // [N] f32, written
  TensorView z_squared;     // [N] f32, written
  ConstTensorView weights;  // [2] f32: CrossEntropy's, for gradients
};

/// The language-model head and its loss, over chunks of tokens: logits never exist whole. Plain in every recipe.
class Head {
 public:
  /// `logit_scale` 1 / sqrt(D) with scale_logits, else 1.
  Head(const Recipe& recipe, float logit_scale)
      : compute_(recipe.compute), logit_scale_(logit_scale), weight_(recipe, Format::Plain(recipe.compute)) {}

  /// The weight [E, D]: its own, or the embedding's with weight_tying.
  void LayOut(const Parameter& parameter, Arena& weights) { weight_.LayOut(parameter, weights); }
  void RefreshWeight(Context& ctx) { weight_.Refresh(ctx); }
  void AccumulateGradient(bool accumulate) { weight_.AccumulateGradient(accumulate); }

  /// Losses of x [N, D]; writes d_x [N, D] and adds to the weight's gradient or writes it (AccumulateGradient).
  void ForwardBackward(Context& ctx, ConstTensorView x, const LossTerms& terms, TensorView d_x, Arena& scratch) const;
  /// Losses only.
  void Forward(Context& ctx, ConstTensorView x, const LossTerms& terms, Arena& scratch) const;
  /// All logits [N, E], f32 or of the compute type, for tests and generation.
  void Logits(Context& ctx, ConstTensorView x, TensorView logits, Arena& scratch) const;

 private:
  void Run(Context& ctx, ConstTensorView x, const LossTerms& terms, TensorView d_x, Arena& scratch) const;

  DType compute_;
  float logit_scale_;
  Weight weight_;
};

}  // namespace coat
