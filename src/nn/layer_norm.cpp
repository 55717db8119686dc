#include "nn/layer_norm.h"

#include "ops/layer_norm.h"

namespace coat {

void LayerNorm::Forward(Context& ctx, ResidualStream& stream, const LayerNormSaved& saved, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const TensorView mean = scratch.Tensor("norm.mean", {stream.x.shape()[0]}, DType::kF32);
  AddLayerNormArgs add = {.x = stream.x, .mean = mean, .rstd = saved.rstd, .eps = eps_};
  if (stream.branch_is_pending) add.branch = stream.branch;
  stream.branch_is_pending = false;
  if (saved.y.format.scaling == Scaling::kNone) {
    add.y = saved.y.codes;
    AddLayerNorm(ctx, add);
    return;
  }
  add.absmax = saved.absmax;
  AddLayerNorm(ctx, add);
  NormalizeQuantize(ctx, {.x = stream.x, .mean = mean, .rstd = saved.rstd, .absmax = saved.absmax, .y = saved.y});
}

void LayerNorm::Backward(Context& ctx, const LayerNormSaved& saved, ConstTensorView d_y, const ResidualGradient& d_x,
                         bool overwrite) const {
  LayerNormBackward(
      ctx,
      {.y = saved.y, .rstd = saved.rstd, .d_y = d_y, .d_x = d_x.d_x, .absmax = d_x.absmax, .overwrite = overwrite});
}

}  // namespace coat
