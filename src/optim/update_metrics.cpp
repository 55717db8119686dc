#include "optim/update_metrics.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "ops/adamw.h"
#include "ops/fill_normal.h"
#include "ops/lion.h"
#include "ops/statistics.h"

namespace coat {

namespace {

TensorView CopyOf(Context& ctx, ConstTensorView x, Arena& scratch) {
  const TensorView copy = scratch.Tensor("copy", x.shape(), x.dtype());
  ctx.Copy(x, copy);
  return copy;
}

TensorView Zeros(Context& ctx, Shape shape, Arena& scratch) {
  const TensorView zeros = scratch.Tensor("zeros", shape, DType::kF32);
  Fill(ctx, {.x = zeros, .value = 0.0f});
  return zeros;
}

}  // namespace

std::vector<ConstTensorView> UpdateMetrics::States(const char* suffix) const {
  std::vector<ConstTensorView> states;
  optimizer_.ForEachState([&](const StateTensor& state) {
    if (state.name.ends_with(suffix)) states.push_back(state.tensor);
  });
  return states;
}

std::vector<ParameterMetrics::Metric> UpdateMetrics::Measure(Context& ctx, const UpdateScalars& scalars,
                                                             Arena& scratch) const {
  return config_.name == OptimizerName::kLionW ? OfLionW(ctx, scalars, scratch) : OfAdamW(ctx, scalars, scratch);
}

std::vector<ParameterMetrics::Metric> UpdateMetrics::OfAdamW(Context& ctx, const UpdateScalars& scalars,
                                                             Arena& scratch) const {
  const std::vector<ConstTensorView> first = States(".exp_avg");
  const std::vector<ConstTensorView> second = States(".exp_avg_sq");
  std::vector<ParameterMetrics::Metric> metrics;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Arena::Scope scope(scratch);
    // Zeros become the negated update.
    const AdamWTensor tensor = {.param = Zeros(ctx, parameters_[i].shape, scratch),
                                .grad = parameters_[i].grad,
                                .exp_avg = CopyOf(ctx, first[i], scratch),
                                .exp_avg_sq = CopyOf(ctx, second[i], scratch),
                                .grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1)};
    AdamW(ctx, {.tensors = {&tensor, 1},
                .settings = {.learning_rate = scalars.learning_rate,
                             .beta1 = config_.betas[0],
                             .beta2 = config_.betas[1],
                             .eps = config_.eps,
                             .step = scalars.step},
                .selective = config_.selective_updates});
    const TensorView statistics = scratch.Tensor("statistics", {4}, DType::kF32);
    Statistics(ctx, {.x = tensor.param, .statistics = statistics});
    if (ctx.device() == DeviceKind::kMeta) continue;
    float values[4];  // min, max, mean, norm
    ctx.Download(statistics, values);
    metrics.push_back({"step/" + parameters_[i].name + ".norm", values[3]});
    metrics.push_back({"step/" + parameters_[i].name + ".max", values[1]});
  }
  return metrics;
}

std::vector<ParameterMetrics::Metric> UpdateMetrics::OfLionW(Context& ctx, const UpdateScalars& scalars,
                                                             Arena& scratch) const {
  const std::vector<ConstTensorView> moments = States(".exp_avg");
  double magnitudes = 0.0, squares = 0.0, signs = 0.0;
  std::vector<float> values;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Arena::Scope scope(scratch);
    const LionWTensor tensor = {.param = Zeros(ctx, parameters_[i].shape, scratch),
                                .grad = parameters_[i].grad,
                                .exp_avg = CopyOf(ctx, moments[i], scratch),
                                .grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1)};
    // With beta1 in both places the new moment is u, and with a rate of 1 zeros become its negated signs.
    LionW(ctx, {.tensors = {&tensor, 1},
                .settings = {.learning_rate = 1.0, .beta1 = config_.betas[0], .beta2 = config_.betas[0]},
                .selective = config_.selective_updates});
    if (ctx.device() == DeviceKind::kMeta) continue;
    values.resize(static_cast<std::size_t>(tensor.exp_avg.elements()));
    std::vector<float> negated_signs(values.size());
    ctx.Download(tensor.exp_avg, values.data());
    ctx.Download(tensor.param, negated_signs.data());
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (negated_signs[j] == 0.0f) continue;  // nothing moves: u is 0, or the element is left alone
      magnitudes += std::abs(static_cast<double>(values[j]));
      squares += static_cast<double>(values[j]) * values[j];
      signs += 1.0;
    }
  }
  if (ctx.device() == DeviceKind::kMeta) return {};
  return {{"update_cos_sim", magnitudes / std::max(std::sqrt(squares) * std::sqrt(signs), 1e-8)}};
}

}  // namespace coat
