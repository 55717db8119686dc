#include "optim/parameter_metrics.h"

#include <fmt/core.h>

#include <string_view>

#include "optim/part_statistics.h"

namespace coat {

void ParameterMetrics::LayOut(Arena& metadata) {
  statistics_ = metadata.Tensor("statistics", {4}, DType::kF32);
}

std::vector<ParameterMetrics::Metric> ParameterMetrics::Measure(Context& ctx) const {
  PartStatistics statistics(ranks_);
  std::vector<std::string> names;
  const auto measure = [&](std::string_view kind, std::string_view parameter, ConstTensorView x) {
    statistics.Add(ctx, x, statistics_);
    names.push_back(fmt::format("{}/{}", kind, parameter));
  };
  for (const Parameter& parameter : parameters_) {
    measure("grad", parameter.name, parameter.grad);
    measure("param", parameter.name, parameter.value);
  }
  optimizer_->ForEachState([&](const StateTensor& state) {
    const std::size_t dot = state.name.rfind('.');
    const std::string_view kind = std::string_view(state.name).substr(dot + 1);
    if (!IsPlain(state.tensor.dtype()) || (kind != "exp_avg" && kind != "exp_avg_sq")) return;
    measure(kind, std::string_view(state.name).substr(0, dot), state.tensor);
  });
  std::vector<Metric> metrics;
  if (ctx.device() == DeviceKind::kMeta) return metrics;
  const std::vector<TensorStatistics> found = statistics.Combined();
  for (std::size_t i = 0; i < names.size(); ++i) {
    metrics.push_back({names[i] + ".min", found[i].min});
    metrics.push_back({names[i] + ".max", found[i].max});
    metrics.push_back({names[i] + ".avg", found[i].mean});
    metrics.push_back({names[i] + ".norm", found[i].norm});
  }
  return metrics;
}

}  // namespace coat
