#include "optim/update_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>

#include "tests/support/test_parameters.h"

namespace coat {
namespace {

constexpr double kRate = 0.01;
constexpr float kClip[] = {1.0f, 0.5f};

/// The metrics of the second of two updates of two parameters, and those parameters before and after it.
struct TwoUpdates {
  std::map<std::string, double> metrics;
  TestParameters parameters;
  std::vector<std::vector<float>> before;
  std::vector<std::vector<float>> moments;  // before the second update: those whose name ends in .exp_avg

  TwoUpdates(OptimizerName name, bool selective) {
    parameters.Add("wte", {7, 3}, ParameterKind::kEmbedding);
    parameters.Add("att_proj", {40, 9});
    OptimizerConfig config;
    config.name = name;
    config.selective_updates = selective;
    const std::unique_ptr<Optimizer> optimizer = MakeOptimizer(config, {}, parameters.all());
    const Context cpu(DeviceKind::kCpu, 1);
    Arena moments_arena = Arena::Bound("moments", cpu, 1 << 16);
    Arena metadata = Arena::Bound("metadata", cpu, 1 << 16);
    Arena scratch = Arena::Bound("scratch", cpu, 1 << 16);
    optimizer->LayOut(moments_arena, metadata);
    Context ctx(DeviceKind::kCpu, 2);
    const ConstTensorView clip(kClip, {2}, DType::kF32, DeviceKind::kCpu);
    optimizer->Update(ctx, {.learning_rate = kRate, .step = 1, .grad_scale = clip});
    parameters.DrawGradients(0.3f);
    for (const Parameter& parameter : parameters.all()) {
      parameter.grad.As<float>()[2] = 0.0f;
      before.emplace_back(parameter.value.As<float>(), parameter.value.As<float>() + parameter.value.elements());
    }
    optimizer->ForEachState([&](const StateTensor& state) {
      if (!state.name.ends_with(".exp_avg")) return;
      moments.emplace_back(state.tensor.As<float>(), state.tensor.As<float>() + state.tensor.elements());
    });
    const UpdateScalars scalars = {.learning_rate = kRate, .step = 2, .grad_scale = clip};
    const UpdateMetrics update_metrics(config, parameters.all(), *optimizer);
    for (const auto& metric : update_metrics.Measure(ctx, scalars, scratch)) metrics[metric.name] = metric.value;
    optimizer->Update(ctx, scalars);
  }
};

TEST(UpdateMetrics, OfAdamWAreTheSizeOfTheUpdateWithoutTheDecay) {
  for (const bool selective : {false, true}) {
    TwoUpdates updates(OptimizerName::kAdamW, selective);
    EXPECT_EQ(updates.metrics.size(), 4u);
    // The embedding does not decay: its update is what it lost, but for the rounding of each number, which is below 4,
    // to float32, and that of the norm, which is below 1/16.
    double squares = 0.0, largest = 0.0;
    const Parameter& embedding = updates.parameters.all()[0];
    for (std::size_t i = 0; i < updates.before[0].size(); ++i) {
      const double moved = static_cast<double>(updates.before[0][i]) - embedding.value.As<float>()[i];
      if (i == 2) {
        EXPECT_EQ(moved == 0.0, selective);
      }
      ASSERT_LT(std::abs(updates.before[0][i]), 4.0f - kRate);
      squares += moved * moved;
      largest = std::max(largest, std::abs(moved));
    }
    EXPECT_NEAR(updates.metrics.at("step/wte.norm"), std::sqrt(squares), std::sqrt(21.0) * 0x1p-23 + 0x1p-28);
    EXPECT_NEAR(updates.metrics.at("step/wte.max"), largest, 0x1p-23);
    EXPECT_GT(updates.metrics.at("step/att_proj.norm"), 0.0);
  }
}

TEST(UpdateMetrics, OfLionAreTheCosineBetweenTheDirectionAndItsSigns) {
  for (const bool selective : {false, true}) {
    TwoUpdates updates(OptimizerName::kLionW, selective);
    double dot = 0.0, squares = 0.0, signs = 0.0, terms = 0.0;
    for (std::size_t p = 0; p < 2; ++p) {
      const float* grad = updates.parameters.all()[p].grad.As<float>();
      for (std::size_t i = 0; i < updates.moments[p].size(); ++i) {
        const double gradient = static_cast<double>(grad[i]) * kClip[p];
        if (selective && gradient == 0.0) continue;
        const double u = 0.9 * updates.moments[p][i] + 0.1 * gradient;
        terms += std::pow(0.9 * std::abs(updates.moments[p][i]) + 0.1 * std::abs(gradient), 2);
        dot += std::abs(u);
        squares += u * u;
        signs += 1.0;
      }
    }
    EXPECT_EQ(updates.metrics.size(), 1u);
    // Each term of u is off by the roundings of its factor, of the product and of the sum; a cosine by no more than
    // twice the relative error of a vector.
    const double rounding = 3 * 0x1p-24 * std::sqrt(terms / squares);
    EXPECT_NEAR(updates.metrics.at("update_cos_sim"), dot / std::sqrt(squares * signs), 2 * rounding);
  }
}

}  // namespace
}  // namespace coat
