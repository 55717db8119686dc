#include "optim/parameter_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "tests/support/test_parameters.h"

namespace coat {
namespace {

/// Of float32; with this, double's own roundings have room too.
constexpr double kRoundoff = 0x1p-24 + 0x1p-40;

/// Metrics of two parameters after one update, by name.
std::map<std::string, double> MetricsWith(bool quantized, TestParameters& parameters) {
  parameters.Add("wte", {7, 3}, ParameterKind::kEmbedding);
  parameters.Add("att_proj", {40, 9});
  QuantizeOptimizerConfig quantize;
  if (quantized) quantize.use_quantize_optimizer = QuantizeOptimizer::kCoatFp8AdamW;
  OptimizerConfig config;
  config.name = OptimizerName::kAdamW;
  const std::unique_ptr<Optimizer> optimizer = MakeOptimizer(config, quantize, parameters.all());
  Arena moments = Arena::Bound("moments", Context(DeviceKind::kCpu, 1), 1 << 16);
  Arena metadata = Arena::Bound("metadata", Context(DeviceKind::kCpu, 1), 1 << 16);
  optimizer->LayOut(moments, metadata);
  Context ctx(DeviceKind::kCpu, 2);
  float ones[] = {1.0f, 1.0f};
  optimizer->Update(
      ctx, {.learning_rate = 0.1, .step = 1, .grad_scale = TensorView(ones, {2}, DType::kF32, DeviceKind::kCpu)});
  ParameterMetrics metrics(parameters.all(), *optimizer);
  metrics.LayOut(metadata);
  std::map<std::string, double> values;
  for (const ParameterMetrics::Metric& metric : metrics.Measure(ctx)) values[metric.name] = metric.value;
  return values;
}

TEST(ParameterMetrics, AreThoseOfGradientsParametersAndMomentsUnderOlmosNames) {
  TestParameters parameters;
  const std::map<std::string, double> values = MetricsWith(false, parameters);
  EXPECT_EQ(values.size(), 2u * 4u * 4u);
  for (const Parameter& parameter : parameters.all()) {
    for (const auto& [kind, tensor] : {std::pair("grad/", parameter.grad), {"param/", parameter.value}}) {
      double smallest = INFINITY, largest = 0.0, sum = 0.0, magnitudes = 0.0, squares = 0.0;
      for (std::int64_t i = 0; i < tensor.elements(); ++i) {
        const double x = tensor.As<float>()[i];
        smallest = std::min(smallest, std::abs(x));
        largest = std::max(largest, std::abs(x));
        sum += x;
        magnitudes += std::abs(x);
        squares += x * x;
      }
      const std::string name = kind + parameter.name;
      EXPECT_EQ(values.at(name + ".min"), smallest);
      EXPECT_EQ(values.at(name + ".max"), largest);
      // In double, then rounded once to float32, as ops/statistics.h has it.
      const auto elements = static_cast<double>(tensor.elements());
      EXPECT_NEAR(values.at(name + ".avg"), sum / elements,
                  (0x1p-24 * std::abs(sum) + 0x1p-50 * magnitudes) / elements);
      EXPECT_NEAR(values.at(name + ".norm"), std::sqrt(squares), kRoundoff * std::sqrt(squares));
    }
    // After one update the moments are a tenth of the gradient, and a twentieth of its square: the first by two
    // roundings, of the tenth and of the product, and those of both norms; the second by three.
    const double tenth = 0.1 * values.at("grad/" + parameter.name + ".norm");
    EXPECT_NEAR(values.at("exp_avg/" + parameter.name + ".norm"), tenth, 4 * kRoundoff * tenth);
    const double twentieth = 0.05 * std::pow(values.at("grad/" + parameter.name + ".max"), 2);
    EXPECT_NEAR(values.at("exp_avg_sq/" + parameter.name + ".max"), twentieth, 3 * kRoundoff * twentieth);
  }
}

TEST(ParameterMetrics, HaveNoneOfFp8Moments) {
  TestParameters parameters;
  const std::map<std::string, double> values = MetricsWith(true, parameters);
  EXPECT_EQ(values.size(), 2u * 2u * 4u);
  EXPECT_EQ(values.count("exp_avg/wte.norm"), 0u);
}

}  // namespace
}  // namespace coat
