#include "optim/clipping.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/test_parameters.h"

namespace coat {
namespace {

/// A norm is computed in double and rounded once to float32; with this, double's own roundings have room too.
constexpr double kRoundoff = 0x1p-24 + 0x1p-40;

double NormOf(ConstTensorView x) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < x.elements(); ++i) squares += std::pow(static_cast<double>(x.As<float>()[i]), 2);
  return std::sqrt(squares);
}

class GradientClippingTest : public testing::Test {
 protected:
  GradientClippingTest() {
    parameters_.Add("small", {3, 5}, ParameterKind::kLinearWeight, 0.1f);
    parameters_.Add("large", {70, 11}, ParameterKind::kLinearWeight, 10.0f);
    parameters_.Add("embedding", {9, 4}, ParameterKind::kEmbedding, 1.0f);
    Arena measuring = Arena::Measuring("metadata");
    clipping_ = GradientClipping(parameters_.all(), kBeta);
    clipping_.LayOut(measuring);
    arena_ = Arena::Bound("metadata", Context(DeviceKind::kCpu, 1), measuring.peak_bytes());
    clipping_.LayOut(arena_);
  }

  double Coefficient(int i) const { return clipping_.coefficients().As<float>()[i]; }
  double Average(int i) const {
    double average = -1.0;
    clipping_.ForEachState([&](const StateTensor& state) { average = state.tensor.As<float>()[i]; });
    return average;
  }

  static constexpr double kBeta = 0.95;
  TestParameters parameters_;
  Arena arena_ = Arena::Measuring("metadata");
  GradientClipping clipping_{{}, kBeta};
  Context ctx_{DeviceKind::kCpu, 2};
};

TEST_F(GradientClippingTest, MeasuresEachParameterAndAllTogether) {
  const ClippingResult result = clipping_.Measure(ctx_, {});
  ASSERT_EQ(result.norms.size(), 3u);
  double squares = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double exact = NormOf(parameters_.all()[i].grad);
    EXPECT_NEAR(result.norms[i], exact, kRoundoff * exact);
    squares += result.norms[i] * result.norms[i];
  }
  EXPECT_EQ(result.total_norm, static_cast<float>(std::sqrt(squares)));
  EXPECT_EQ(result.first_non_finite, "");
}

TEST_F(GradientClippingTest, ClipsNothingWithoutLimitsOrBelowThem) {
  EXPECT_EQ(clipping_.Measure(ctx_, {}).clipping_rate, 0.0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Coefficient(i), 1.0);
  EXPECT_EQ(clipping_.Measure(ctx_, {.max_norm = 1e6, .max_norm_ratio = {}}).clipping_rate, 0.0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Coefficient(i), 1.0);
}

TEST_F(GradientClippingTest, ScalesAllGradientsToTheGlobalNorm) {
  const ClippingResult result = clipping_.Measure(ctx_, {.max_norm = 1.0, .max_norm_ratio = {}});
  EXPECT_EQ(result.clipping_rate, 1.0);
  const float expected = 1.0f / (static_cast<float>(result.total_norm) + 1e-6f);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Coefficient(i), expected);
}

TEST_F(GradientClippingTest, LeavesTheGradientsThemselvesAlone) {
  const float before = parameters_.all()[1].grad.As<float>()[0];
  clipping_.Measure(ctx_, {.max_norm = 1.0, .max_norm_ratio = {}});
  EXPECT_EQ(parameters_.all()[1].grad.As<float>()[0], before);
}

TEST_F(GradientClippingTest, ClipsByTheRatioToTheMovingAverageBeforeTheGlobalNorm) {
  const ClippingLimits limits = {.max_norm = 1e-3, .max_norm_ratio = 1.5};
  const ClippingResult first = clipping_.Measure(ctx_, limits);
  EXPECT_EQ(first.clipping_rate, 0.0) << "the first norm is its own average";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Average(i), first.norms[static_cast<std::size_t>(i)]);

  // Ten times larger: clipped to 1.5 times the average, which moves by a twentieth of what is left.
  const double average = Average(1);
  for (std::int64_t i = 0; i < 770; ++i) parameters_.all()[1].grad.As<float>()[i] *= 10.0f;
  const ClippingResult second = clipping_.Measure(ctx_, limits);
  EXPECT_EQ(second.clipping_rate, 1.0 / 3.0);
  // Roundings in float32: of the products with ten and of the two norms; then of the limit, of the norm with its 1e-6,
  // less than another, and of the quotient; in the average, of its sum, and of what is added, a fortieth as large.
  EXPECT_NEAR(second.norms[1], 10.0 * average, 3 * kRoundoff * 10.0 * average);
  EXPECT_NEAR(Coefficient(1), 0.15, 7 * kRoundoff * 0.15);
  EXPECT_EQ(Coefficient(0), 1.0);
  EXPECT_NEAR(Average(1), average + 0.05 * 0.5 * average, 2 * kRoundoff * average);
}

TEST_F(GradientClippingTest, RecoversFromAParameterWhoseFirstGradientIsZero) {
  const ClippingLimits limits = {.max_norm = {}, .max_norm_ratio = 1.5};
  for (std::int64_t i = 0; i < 15; ++i) parameters_.all()[0].grad.As<float>()[i] = 0.0f;
  clipping_.Measure(ctx_, limits);
  for (std::int64_t i = 0; i < 15; ++i) parameters_.all()[0].grad.As<float>()[i] = 2.0f;
  clipping_.Measure(ctx_, limits);
  EXPECT_EQ(Coefficient(0), 1.0);
  EXPECT_GT(Average(0), 0.0);
}

TEST_F(GradientClippingTest, NamesTheFirstGradientThatIsNotFiniteAndKeepsItsState) {
  const ClippingLimits limits = {.max_norm = {}, .max_norm_ratio = 0.5};
  clipping_.Measure(ctx_, limits);
  const double average = Average(0), coefficient = Coefficient(0);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    parameters_.DrawGradients(1.0f);
    parameters_.all()[1].grad.As<float>()[769] = bad;
    parameters_.all()[2].grad.As<float>()[0] = bad;
    const ClippingResult result = clipping_.Measure(ctx_, limits);
    EXPECT_EQ(result.first_non_finite, "large");
    EXPECT_FALSE(std::isfinite(result.total_norm));
    EXPECT_EQ(Average(0), average);
    EXPECT_EQ(Coefficient(0), coefficient);
  }
  parameters_.DrawGradients(1.0f);
  EXPECT_EQ(clipping_.Measure(ctx_, limits).first_non_finite, "");
}

TEST_F(GradientClippingTest, KeepsItsStateWhereOnlyTheTotalNormOverflows) {
  const ClippingLimits limits = {.max_norm = 1.0, .max_norm_ratio = {}};
  clipping_.Measure(ctx_, limits);
  const double coefficient = Coefficient(0);
  for (const std::size_t i : {0u, 1u}) parameters_.all()[i].grad.As<float>()[0] = 3e38f;  // together 4.2e38
  const ClippingResult result = clipping_.Measure(ctx_, limits);
  EXPECT_EQ(result.first_non_finite, "");
  EXPECT_TRUE(std::isinf(result.total_norm));
  EXPECT_EQ(Coefficient(0), coefficient) << "not 0, by which the step would be lost in silence";
}

TEST_F(GradientClippingTest, TakesLargeFiniteGradientsForFinite) {
  parameters_.all()[1].grad.As<float>()[0] = 1e30f;
  const ClippingResult result = clipping_.Measure(ctx_, {.max_norm = 1.0, .max_norm_ratio = {}});
  EXPECT_EQ(result.first_non_finite, "");
  EXPECT_EQ(result.total_norm, 1e30f) << "beside it the others are nothing";
  EXPECT_EQ(Coefficient(0), 1.0f / 1e30f);
}

}  // namespace
}  // namespace coat
