#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/layer_norm.h"
#include "nn/norm_weight.h"
#include "nn/parameter.h"
#include "nn/residual.h"
#include "recipes/recipe.h"

namespace coat {

/// The norm between the last block and the head: OLMo 1's LayerNorm without weight, after the last pending add, or
/// OLMo 2's RMSNorm with weight. Plain in every recipe.
class FinalNorm {
 public:
  struct Config {
    bool rms = false;
    float eps = 1e-5f;
  };
  struct Saved {
    TensorView y;     // [N, D] of the compute type
    TensorView rstd;  // [N] f32
    TensorView x;     // [N, D] of the compute type, RMSNorm's input; empty for LayerNorm, which needs none
  };

  FinalNorm(const Config& config, const Recipe& recipe)
      : config_(config), layer_norm_(config.eps), compute_(recipe.compute) {}

  void LayOut(const FindParameter& find);
  void AccumulateGradient(bool accumulate) { weight_.AccumulateGradient(accumulate); }

  /// Lays out what backward needs. Where it has an x, the stream must lie there.
  Saved LayOutSaved(Shape x, Arena& saved) const;
  void Forward(Context& ctx, ResidualStream& stream, TensorView y, TensorView rstd, Arena& scratch) const;
  /// Starts the residual stream's gradient, and adds to the weight's or writes it (AccumulateGradient).
  void Backward(Context& ctx, const Saved& saved, ConstTensorView d_y, const ResidualGradient& d_x) const;

 private:
  Config config_;
  LayerNorm layer_norm_;
  NormWeight weight_;
  DType compute_;
};

}  // namespace coat
