#include "numerics/adamw.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace coat {
namespace {

constexpr AdamWSettings kSettings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = 1};
constexpr double kWeightDecay = 0.1;

constexpr double kRoundoff = 0x1p-24;

/// The element formula in double, written in COAT's form: the decay inside the update. Beside it, how far float32 may
/// be from it: what the roundings so far have become, and those of this step at their worst.
struct Reference {
  double param = 0.0;
  double exp_avg = 0.0;
  double exp_avg_sq = 0.0;
  double param_error = 0.0;
  double exp_avg_error = 0.0;
  double exp_avg_sq_error = 0.0;

  void Step(const AdamWSettings& s, double grad) {
    const double first_size = s.beta1 * std::abs(exp_avg) + (1.0 - s.beta1) * std::abs(grad);
    exp_avg += (1.0 - s.beta1) * (grad - exp_avg);
    exp_avg_sq = s.beta2 * exp_avg_sq + (1.0 - s.beta2) * grad * grad;
    const double root = std::sqrt(exp_avg_sq) / std::sqrt(1.0 - std::pow(s.beta2, static_cast<double>(s.step)));
    const double correction = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
    const double rate = s.learning_rate / ((root + s.eps) * correction);
    const double decay = s.learning_rate * kWeightDecay * param;
    param -= rate * exp_avg + decay;
    // Of a moment: its factors, the products (of the second one more, the square) and the sum.
    exp_avg_error = s.beta1 * exp_avg_error + 3.0 * kRoundoff * first_size;
    exp_avg_sq_error = s.beta2 * exp_avg_sq_error + 4.0 * kRoundoff * exp_avg_sq;
    // Of the update: two scalars, root, two quotients, epsilon with its sum, product, and the sum with the decay, which
    // has three of its own. What the second moment is off by, its root is by half.
    const double second_error = 0.5 * exp_avg_sq_error / exp_avg_sq;
    param_error += rate * exp_avg_error + rate * std::abs(exp_avg) * (second_error + 9.0 * kRoundoff) +
                   3.0 * kRoundoff * std::abs(decay) + kRoundoff * std::abs(param);
  }
};

TEST(WholePower, MultipliesOut) {
  EXPECT_EQ(WholePower(0.9, 0), 1.0);
  EXPECT_EQ(WholePower(0.9, 1), 0.9);
  EXPECT_EQ(WholePower(3.0, 7), 2187.0);
  EXPECT_EQ(WholePower(1.5, 33), 5559060566555523.0 * 0x1p-33);  // 3^33, which double has
  EXPECT_EQ(WholePower(0.9, std::int64_t{1} << 40), 0.0);
}

TEST(AdamW, FollowsDoublePrecisionOverManySteps) {
  std::mt19937_64 generator(5);
  std::normal_distribution<double> normal;
  for (const double scale : {1.0, 1e-6, 1e4}) {
    AdamWElement element{0.5f, 0.0f, 0.0f};
    Reference reference{.param = 0.5};
    for (int step = 1; step <= 300; ++step) {
      AdamWSettings settings = kSettings;
      settings.step = step;
      const float grad = static_cast<float>(scale * normal(generator));
      element = AdamWUpdate(AdamWScalars(settings, kWeightDecay), element, grad);
      reference.Step(settings, grad);
      ASSERT_NEAR(element.param, reference.param, reference.param_error) << "step " << step << ", scale " << scale;
      ASSERT_NEAR(element.exp_avg, reference.exp_avg, reference.exp_avg_error);
      ASSERT_NEAR(element.exp_avg_sq, reference.exp_avg_sq, reference.exp_avg_sq_error);
    }
  }
}

TEST(AdamW, FirstStepIsAlmostTheSignOfTheGradient) {
  const AdamWElement element = AdamWUpdate(AdamWScalars(kSettings, kWeightDecay), {0.0f, 0.0f, 0.0f}, -0.03f);
  // Almost by epsilon and, as above, the roundings of moments and update: 2, 3 halves and 9.
  EXPECT_NEAR(element.param, 1e-3 / (1.0 + 1e-8 / 0.03), 1e-3 * 13 * kRoundoff);
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
  // Each step rounds once, by 2^-24 / sqrt(3), root mean square from above, and independently: six times what that
  // makes of the mean, 9e-7. Multiplying by 1 - 1e-4 in float32 would be off by 1.7e-8 a step, 3.3e-5 in all.
  EXPECT_NEAR(mean_error, 0.0, 6.0 * kRoundoff * std::sqrt(kSteps / 3.0 / 100.0));
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
