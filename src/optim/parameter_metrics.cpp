#include "optim/parameter_metrics.h"

#include <fmt/core.h>

#include <string_view>

#include "ops/statistics.h"

namespace coat {

void ParameterMetrics::LayOut(Arena& metadata) {
  statistics_ = metadata.Tensor("statistics", {4}, DType::kF32);
}

std::vector<ParameterMetrics::Metric> ParameterMetrics::Measure(Context& ctx) const {
  std::vector<Metric> metrics;
  const auto measure = [&](std::string_view kind, std::string_view parameter, ConstTensorView x) {
    Statistics(ctx, {.x = x, .statistics = statistics_});
    if (ctx.device() == DeviceKind::kMeta) return;
    constexpr std::string_view kNames[] = {"min", "max", "avg", "norm"};
    float values[4];
    ctx.Download(statistics_, values);
    for (int i = 0; i < 4; ++i) {
      metrics.push_back({fmt::format("{}/{}.{}", kind, parameter, kNames[i]), values[i]});
    }
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
  return metrics;
}

}  // namespace coat
