#include "optim/clipping.h"

#include <cmath>

#include "ops/clip.h"
#include "ops/statistics.h"

namespace coat {

GradientClipping::GradientClipping(std::span<const Parameter> parameters, double beta)
    : parameters_(parameters), beta_(beta) {}

void GradientClipping::LayOut(Arena& metadata) {
  const auto count = static_cast<std::int64_t>(parameters_.size());
  norms_ = metadata.Tensor("clipping.norms", {count}, DType::kF32);
  total_norm_ = metadata.Tensor("clipping.total_norm", {1}, DType::kF32);
  coefficients_ = metadata.Tensor("clipping.coefficients", {count}, DType::kF32);
  averages_ = metadata.Tensor("grad_norm_exp_avg", {count}, DType::kF32);
}

ClippingResult GradientClipping::Measure(Context& ctx, const ClippingLimits& limits) {
  const auto count = static_cast<std::int64_t>(parameters_.size());
  for (std::int64_t i = 0; i < count; ++i) {
    L2Norm(ctx, {.x = parameters_[static_cast<std::size_t>(i)].grad, .norm = norms_.Rows(i, 1)});
  }
  TotalNorm(ctx, {.norms = norms_, .total_norm = total_norm_});
  ClippingResult result;
  if (ctx.device() == DeviceKind::kMeta) return result;
  result.total_norm = *total_norm_.As<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    const double norm = norms_.As<float>()[i];
    result.norms.push_back(norm);
    if (!std::isfinite(norm) && result.first_non_finite.empty()) {
      result.first_non_finite = parameters_[static_cast<std::size_t>(i)].name;
    }
  }
  if (!result.first_non_finite.empty()) return result;
  if (limits.max_norm_ratio) {
    AdaptiveClipCoefficients(ctx, {.norms = norms_,
                                   .norm_averages = averages_,
                                   .coefficients = coefficients_,
                                   .max_norm_ratio = static_cast<float>(*limits.max_norm_ratio),
                                   .beta = static_cast<float>(beta_)});
    result.averages.assign(averages_.As<float>(), averages_.As<float>() + count);
  } else {
    ClipCoefficients(ctx, {.total_norm = total_norm_,
                           .coefficients = coefficients_,
                           .max_norm = limits.max_norm ? static_cast<float>(*limits.max_norm) : INFINITY});
  }
  std::int64_t clipped = 0;
  for (std::int64_t i = 0; i < count; ++i) clipped += coefficients_.As<float>()[i] < 1.0f ? 1 : 0;
  result.clipping_rate = static_cast<double>(clipped) / static_cast<double>(count);
  return result;
}

void GradientClipping::ForEachState(const std::function<void(const StateTensor&)>& visit) const {
  visit({"grad_norm_exp_avg", averages_});
}

}  // namespace coat
