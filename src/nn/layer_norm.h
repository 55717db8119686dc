#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/residual.h"

namespace coat {

/// What a LayerNorm leaves for backward.
struct LayerNormSaved {
  QuantizedView y;    // [N, D] its output: plain, or /t
  TensorView rstd;    // [N] f32
  TensorView absmax;  // [1] f32 of y: needed where y is coded
};

/// Residual add and LayerNorm without weight: x += branch if it is pending, y = norm(x).
class LayerNorm {
 public:
  explicit LayerNorm(float eps) : eps_(eps) {}

  void Forward(Context& ctx, ResidualStream& stream, const LayerNormSaved& saved, Arena& scratch) const;
  /// Adds the norm's gradient to the residual stream's, or starts it with `overwrite`.
  void Backward(Context& ctx, const LayerNormSaved& saved, ConstTensorView d_y, const ResidualGradient& d_x,
                bool overwrite = false) const;

 private:
  float eps_;
};

}  // namespace coat
