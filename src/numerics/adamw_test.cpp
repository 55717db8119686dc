#include "numerics/adamw.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace coat {
namespace {

constexpr AdamWSettings kSettings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = 1};
constexpr double kWeightDecay = 0.1;

/// The element formula in double, written in COAT's form: the decay inside the update.
struct Reference {
  double param = 0.0;
  double exp_avg = 0.0;
  double exp_avg_sq = 0.0;

  void Step(const AdamWSettings& s, double grad) {
    exp_avg += (1.0 - s.beta1) * (grad - exp_avg);
    exp_avg_sq = s.beta2 * exp_avg_sq + (1.0 - s.beta2) * grad * grad;
    const double root = std::sqrt(exp_avg_sq) / std::sqrt(1.0 - std::pow(s.beta2, static_cast<double>(s.step)));
    const double correction = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
    param -= s.learning_rate * (exp_avg / ((root + s.eps) * correction) + kWeightDecay * param);
  }
};

TEST(WholePower, MultipliesOut) {
  EXPECT_EQ(WholePower(0.9, 0), 1.0);
  EXPECT_EQ(WholePower(0.9, 1), 0.9);
  EXPECT_EQ(WholePower(3.0, 7), 2187.0);
  EXPECT_NEAR(WholePower(0.999, 1000), std::pow(0.999, 1000.0), 1e-14);
  EXPECT_EQ(WholePower(0.9, std::int64_t{1} << 40), 0.0);
}

TEST(AdamW, FollowsDoublePrecisionOverManySteps) {
  std::mt19937_64 generator(5);
  std::normal_distribution<double> normal;
  for (const double scale : {1.0, 1e-6, 1e4}) {
    AdamWElement element{0.5f, 0.0f, 0.0f};
    Reference reference{0.5, 0.0, 0.0};
    for (int step = 1; step <= 300; ++step) {
      AdamWSettings settings = kSettings;
      settings.step = step;
      const float grad = static_cast<float>(scale * normal(generator));
      element = AdamWUpdate(AdamWScalars(settings, kWeightDecay), element, grad);
      reference.Step(settings, grad);
      // A step's error is some roundings of values up to 0.5 + lr; 300 of them add up.
      ASSERT_NEAR(element.param, reference.param, 3e-8 * step + 1e-7) << "step " << step << ", scale " << scale;
      ASSERT_NEAR(element.exp_avg, reference.exp_avg, 1e-6 * scale);
      ASSERT_NEAR(element.exp_avg_sq, reference.exp_avg_sq, 1e-6 * (reference.exp_avg_sq + scale * scale));
    }
  }
}

TEST(AdamW, FirstStepIsAlmostTheSignOfTheGradient) {
  const AdamWElement element = AdamWUpdate(AdamWScalars(kSettings, kWeightDecay), {0.0f, 0.0f, 0.0f}, -0.03f);
  EXPECT_NEAR(element.param, 1e-3, 1e-9);
}

TEST(AdamW, DecaysAParameterWithoutGradient) {
  const AdamWElement element = AdamWUpdate(AdamWScalars(kSettings, kWeightDecay), {2.0f, 0.0f, 0.0f}, 0.0f);
  EXPECT_EQ(element.param, 2.0f - 2e-4f);
  EXPECT_EQ(element.exp_avg, 0.0f);
  EXPECT_EQ(element.exp_avg_sq, 0.0f);
}

TEST(AdamW, DecaysAsMuchAsIsAskedOverManySteps) {
  constexpr int kSteps = 2000;
  double mean_error = 0.0;
  for (int i = 0; i < 100; ++i) {
    const float start = 1.0f + 0.01f * static_cast<float>(i);
    AdamWElement element{start, 0.0f, 0.0f};
    for (int step = 0; step < kSteps; ++step)
      element = AdamWUpdate(AdamWScalars(kSettings, kWeightDecay), element, 0.0f);
    mean_error += 0.01 * (element.param / (start * std::pow(1.0 - 1e-4, kSteps)) - 1.0);
  }
  // Multiplying by 1 - 1e-4 in float32 would be off by 1.7e-8 a step, 3.3e-5 in all.
  EXPECT_NEAR(mean_error, 0.0, 2e-6);
}

TEST(AdamW, KeepsTheMomentsFiniteForEveryFiniteGradient) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  AdamWElement element{1.0f, -kLargest, 0.0f};
  for (int step = 1; step <= 5; ++step) {
    AdamWSettings settings = kSettings;
    settings.step = step;
    element = AdamWUpdate(AdamWScalars(settings, kWeightDecay), element, kLargest);
    EXPECT_TRUE(std::isfinite(element.exp_avg));
    EXPECT_TRUE(std::isfinite(element.exp_avg_sq));
    EXPECT_TRUE(std::isfinite(element.param));
  }
}

}  // namespace
}  // namespace coat
