#include "nn/weight.h"

#include "ops/cast.h"
#include "ops/quantize.h"

namespace coat {

void Weight::LayOut(const Parameter& parameter, Arena& weights) {
  parameter_ = parameter;
  if (parameter.operand) {
    if (IsGathered()) w_ = parameter.operand;
    return;
  }
  const bool fp8 = format_.scaling != Scaling::kNone;
  if (cache_ == WeightCache::kBoth ? IsMaster() : cache_ == WeightCache::kNone || !fp8) return;
  w_ = weights.Quantized(parameter.name + ".operand", parameter.shape, format_);
  if (fp8 && cache_ == WeightCache::kBoth) {
    w_t_ = weights.Quantized(parameter.name + ".operand_t", TransposedShape(), format_);
  }
}

void Weight::Refresh(Context& ctx) {
  if (w_ && !IsGathered()) Make(ctx, w_, w_t_);
}

void Weight::Make(Context& ctx, const QuantizedView& w, const QuantizedView& w_t) const {
  if (format_.scaling == Scaling::kNone) {
    Cast(ctx, {.x = parameter_.Whole(), .y = w.codes});
  } else {
    Quantize(ctx, {.x = parameter_.Whole(), .absmax = parameter_.absmax, .y = w, .y_t = w_t});
  }
}

ConstQuantizedView Weight::ForOutput(Context& ctx, Arena& scratch) const {
  if (IsMaster()) return AsPlain(parameter_.Whole());
  if (w_) return w_;
  const QuantizedView w = scratch.Quantized("weight", parameter_.shape, format_);
  Make(ctx, w, {});
  return w;
}

ConstQuantizedView Weight::ForInputGradient(Context& ctx, Arena& scratch) const {
  if (format_.scaling == Scaling::kNone) return ForOutput(ctx, scratch);
  if (w_t_) return w_t_;
  const QuantizedView w_t = scratch.Quantized("weight_t", TransposedShape(), format_);
  if (w_ && format_.scaling == Scaling::kTensor) {
    TransposeCodes(ctx, {.x = w_.codes, .y = w_t.codes});
    return {w_t.codes, w_.scales, format_};
  }
  Make(ctx, {}, w_t);
  return w_t;
}

}  // namespace coat
