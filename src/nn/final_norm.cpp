#include "nn/final_norm.h"

#include "ops/rms_norm.h"

namespace coat {

void FinalNorm::LayOut(const FindParameter& find) {
  if (config_.rms) weight_.LayOut(find("ln_f.weight"));
}

FinalNorm::Saved FinalNorm::LayOutSaved(Shape x, Arena& saved) const {
  Saved kept;
  if (config_.rms) kept.x = saved.Tensor("x", x, compute_);
  kept.y = saved.Tensor("ln_f", x, compute_);
  kept.rstd = saved.Tensor("ln_f.rstd", {x[0]}, DType::kF32);
  return kept;
}

void FinalNorm::Forward(Context& ctx, ResidualStream& stream, TensorView y, TensorView rstd, Arena& scratch) const {
  if (config_.rms) {
    RmsNorm(ctx, {.x = stream.x, .weight = weight_.value(), .y = y, .rstd = rstd, .eps = config_.eps});
  } else {
    layer_norm_.Forward(ctx, stream, {AsPlain(y), rstd, {}}, scratch);
  }
}

void FinalNorm::Backward(Context& ctx, const Saved& saved, ConstTensorView d_y, const ResidualGradient& d_x) const {
  if (!config_.rms) {
    layer_norm_.Backward(ctx, {AsPlain(saved.y), saved.rstd, {}}, d_y, d_x, /*overwrite=*/true);
    return;
  }
  RmsNormBackward(ctx, {.x = AsPlain(ConstTensorView(saved.x)),
                        .weight = weight_.value(),
                        .rstd = saved.rstd,
                        .d_y = d_y,
                        .d_x = d_x.d_x,
                        .d_weight = weight_.grad(),
                        .absmax = d_x.absmax,
                        .accumulate = weight_.accumulates()});
}

}  // namespace coat
