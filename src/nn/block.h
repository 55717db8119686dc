#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/attention.h"
#include "nn/mlp.h"
#include "recipes/recipe.h"

namespace coat {

/// One transformer block (COAT's CoatOLMoSequentialBlock): attention and MLP, each behind a residual add and a norm.
///
/// The residual stream x and the pending branch travel separately: every half adds the branch before it norms, so that
/// add, norm and quantization are one pass. Owns nothing.
class Block {
 public:
  struct Config {
    BeforeAttention::Config attention;
    MlpResidual::Config mlp;
  };
  struct Saved {
    BeforeAttention::Saved before;
    AfterAttention::Saved after;
    MlpResidual::Saved mlp;
  };

  Block(const Config& config, const Recipe& recipe)
      : before_(config.attention, recipe),
        after_(config.attention.shape, recipe),
        mlp_(config.mlp, recipe),
        qkv_width_(config.attention.shape.QkvWidth()),
        compute_(recipe.compute) {}

  BeforeAttention& before_attention() { return before_; }
  AfterAttention& after_attention() { return after_; }
  MlpResidual& mlp() { return mlp_; }

  Saved LayOutSaved(std::int64_t sequences, std::int64_t length, std::int64_t width, Arena& saved) const;
  void RefreshWeights(Context& ctx);
  /// Whether Backward adds to the weights' gradients or writes them.
  void AccumulateGradients(bool accumulate);
  /// `has_branch` is false for the first block only; `branch` [N, D] is this block's output on return. `input` [N, D],
  /// where it is given, takes a copy of x with the branch added: all that Recompute needs.
  void Forward(Context& ctx, TensorView x, TensorView branch, bool has_branch, const TokenPositions& positions,
               const Saved& saved, Arena& scratch, TensorView input = {}) const;
  /// Fills `saved` with the bytes that Forward left there, from its `input`, which is overwritten.
  void Recompute(Context& ctx, TensorView input, const TokenPositions& positions, const Saved& saved,
                 Arena& scratch) const;
  void Backward(Context& ctx, const Saved& saved, const TokenPositions& positions, const ResidualGradient& d_x,
                Arena& scratch) const;

 private:
  BeforeAttention before_;
  AfterAttention after_;
  MlpResidual mlp_;
  std::int64_t qkv_width_;
  DType compute_;
};

}  // namespace coat
