#include "nn/norm.h"

#include <string>

#include "ops/layer_norm.h"

namespace coat {

NormSaved Norm::LayOutSaved(std::string_view name, Shape x, Arena& saved) const {
  const std::string prefix(name);
  NormSaved kept;
  kept.y = saved.Quantized(prefix, x, recipe_->kept_norm);
  kept.rstd = saved.Tensor(prefix + ".rstd", {x[0]}, DType::kF32);
  if (recipe_->PerTensor()) kept.absmax = saved.Tensor(prefix + ".absmax", {1}, DType::kF32);
  return kept;
}

void Norm::Forward(Context& ctx, TensorView x, ConstTensorView branch, const NormSaved& saved, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const TensorView mean = scratch.Tensor("norm.mean", {x.shape()[0]}, DType::kF32);
  AddLayerNormArgs add = {.x = x, .branch = branch, .mean = mean, .rstd = saved.rstd, .eps = eps_};
  if (saved.y.format.scaling == Scaling::kNone) {
    add.y = saved.y.codes;
    AddLayerNorm(ctx, add);
    return;
  }
  add.absmax = saved.absmax;
  AddLayerNorm(ctx, add);
  NormalizeQuantize(ctx, {.x = x, .mean = mean, .rstd = saved.rstd, .absmax = saved.absmax, .y = saved.y});
}

void Norm::Backward(Context& ctx, const NormSaved& saved, ConstTensorView d_y, const ResidualGradient& d_x,
                    bool overwrite) const {
  LayerNormBackward(
      ctx,
      {.y = saved.y, .rstd = saved.rstd, .d_y = d_y, .d_x = d_x.d_x, .absmax = d_x.absmax, .overwrite = overwrite});
}

}  // namespace coat
