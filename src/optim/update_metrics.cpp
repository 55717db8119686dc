#include "optim/update_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/adamw.h"
#include "ops/fill.h"
#include "ops/lion.h"
#include "optim/part_statistics.h"

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
  PartStatistics statistics(ranks_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Arena::Scope scope(scratch);
    // Zeros become the negated update.
    const AdamWTensor tensor = {.param = Zeros(ctx, parameters_[i].value.shape(), scratch),
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
    statistics.Add(ctx, tensor.param, scratch.Tensor("statistics", {4}, DType::kF32));
  }
  std::vector<ParameterMetrics::Metric> metrics;
  if (ctx.device() == DeviceKind::kMeta) return metrics;
  const std::vector<TensorStatistics> found = statistics.Combined();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    metrics.push_back({"step/" + parameters_[i].name + ".norm", found[i].norm});
    metrics.push_back({"step/" + parameters_[i].name + ".max", found[i].max});
  }
  return metrics;
}

std::vector<ParameterMetrics::Metric> UpdateMetrics::OfLionW(Context& ctx, const UpdateScalars& scalars,
                                                             Arena& scratch) const {
  const std::vector<ConstTensorView> moments = States(".exp_avg");
  std::array<double, 3> sums = {};  // of |u|, u u and |sign u|
  std::vector<float> values;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Arena::Scope scope(scratch);
    const LionWTensor tensor = {.param = Zeros(ctx, parameters_[i].value.shape(), scratch),
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
      sums[0] += std::abs(static_cast<double>(values[j]));
      sums[1] += static_cast<double>(values[j]) * values[j];
      sums[2] += 1.0;
    }
  }
  if (ctx.device() == DeviceKind::kMeta) return {};
  if (ranks_ != nullptr) ranks_->AllReduce(sums, Reduction::kSum);
  return {{"update_cos_sim", sums[0] / std::max(std::sqrt(sums[1]) * std::sqrt(sums[2]), 1e-8)}};
}

}  // namespace coat
