#include "optim/clipping.h"

#include <algorithm>
#include <cmath>

#include "ops/clip.h"
#include "ops/statistics.h"

namespace coat {

namespace {

std::vector<float> Downloaded(const Context& ctx, ConstTensorView x) {
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  ctx.Download(x, values.data());
  return values;
}

}  // namespace

GradientClipping::GradientClipping(std::span<const Parameter> parameters, double beta, Communicator* ranks)
    : parameters_(parameters), beta_(beta), ranks_(ranks) {}

void GradientClipping::LayOut(Arena& metadata) {
  const auto count = static_cast<std::int64_t>(parameters_.size());
  norms_ = metadata.Tensor("clipping.norms", {count}, DType::kF32);
  total_norm_ = metadata.Tensor("clipping.total_norm", {1}, DType::kF32);
  coefficients_ = metadata.Tensor("clipping.coefficients", {count}, DType::kF32);
  averages_ = metadata.Tensor("grad_norm_exp_avg", {count}, DType::kF32);
}

void GradientClipping::CombineNorms(const Context& ctx) {
  std::vector<float> norms = Downloaded(ctx, norms_);
  std::vector<double> squares;
  for (const float norm : norms) squares.push_back(static_cast<double>(norm) * norm);
  ranks_->AllReduce(squares, Reduction::kSum);
  for (std::size_t i = 0; i < norms.size(); ++i) norms[i] = static_cast<float>(std::sqrt(squares[i]));
  ctx.Upload(norms.data(), norms_);
}

ClippingResult GradientClipping::Measure(Context& ctx, const ClippingLimits& limits) {
  std::vector<ConstTensorView> gradients;
  for (const Parameter& parameter : parameters_) gradients.push_back(parameter.grad);
  L2Norms(ctx, {.tensors = gradients, .norms = norms_});
  if (ranks_ != nullptr && ctx.device() != DeviceKind::kMeta) CombineNorms(ctx);
  TotalNorm(ctx, {.norms = norms_, .total_norm = total_norm_});
  ClippingResult result;
  if (ctx.device() == DeviceKind::kMeta) return result;
  const std::vector<float> norms = Downloaded(ctx, norms_);
  result.norms.assign(norms.begin(), norms.end());
  result.total_norm = Downloaded(ctx, total_norm_)[0];
  for (std::size_t i = 0; i < norms.size(); ++i) {
    if (std::isfinite(norms[i])) continue;
    result.first_non_finite = parameters_[i].name;
    return result;
  }
  if (!std::isfinite(result.total_norm)) return result;
  if (limits.max_norm_ratio) {
    AdaptiveClipCoefficients(ctx, {.norms = norms_,
                                   .norm_averages = averages_,
                                   .coefficients = coefficients_,
                                   .max_norm_ratio = static_cast<float>(*limits.max_norm_ratio),
                                   .beta = static_cast<float>(beta_)});
    const std::vector<float> averages = Downloaded(ctx, averages_);
    result.averages.assign(averages.begin(), averages.end());
  } else {
    ClipCoefficients(ctx, {.total_norm = total_norm_,
                           .coefficients = coefficients_,
                           .max_norm = limits.max_norm ? static_cast<float>(*limits.max_norm) : INFINITY});
  }
  const std::vector<float> coefficients = Downloaded(ctx, coefficients_);
  const auto clipped = std::count_if(coefficients.begin(), coefficients.end(), [](float c) { return c < 1.0f; });
  result.clipping_rate = static_cast<double>(clipped) / static_cast<double>(coefficients.size());
  return result;
}

void GradientClipping::ForEachState(const std::function<void(const StateTensor&)>& visit) const {
  visit({"grad_norm_exp_avg", averages_});
}

}  // namespace coat
