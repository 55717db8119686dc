#include "numerics/normal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "numerics/philox.h"

namespace coat {
namespace {

constexpr double kRelativeError = 4e-7;  // that NormalQuantile promises
constexpr double kRootOfTwo = 1.41421356237309504880;

/// The quantile in double: Newton's method on the probability of both tails, which keeps its precision far out.
double ExactQuantile(double inside) {
  double z = 1.0;
  for (int i = 0; i < 100; ++i) {
    const double density = std::sqrt(2.0 / 3.14159265358979323846) * std::exp(-0.5 * z * z);
    const double error = inside < 0.5 ? std::erf(z / kRootOfTwo) - inside : (1.0 - inside) - std::erfc(z / kRootOfTwo);
    const double next = z - std::clamp(error / density, -0.5, 0.5);
    if (next == z) break;
    z = next;
  }
  return z;
}

TEST(NormalQuantile, IsAsExactAsItSays) {
  double worst = 0.0;
  for (std::uint64_t word = 0; word < (1ull << 31); word += 100003) {
    const double inside = (static_cast<double>(word) + 0.5) * 0x1p-31;
    const double exact = ExactQuantile(inside);
    worst = std::max(worst, std::abs(NormalQuantile(inside) / exact - 1.0));
  }
  for (double outside = 0x1p-32; outside < 0.2; outside *= 1.01) {
    const double exact = ExactQuantile(1.0 - outside);
    worst = std::max(worst, std::abs(NormalQuantile(1.0 - outside) / exact - 1.0));
  }
  EXPECT_LE(worst, kRelativeError);
}

TEST(NormalQuantile, HasTheTabulatedValues) {
  EXPECT_NEAR(NormalQuantile(0.0), 0.0, 0.0);
  EXPECT_NEAR(NormalQuantile(0.6826894921370859), 1.0, kRelativeError);
  EXPECT_NEAR(NormalQuantile(0.95), 1.959963985, 1.96 * kRelativeError);
  EXPECT_NEAR(NormalQuantile(0.9973002039367398), 3.0, 3.0 * kRelativeError);
}

TEST(TruncatedNormal, IsSymmetricAndNeverBeyondTheCutoff) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(InsideOf(kInfinity), 1.0f);
  for (const float cutoff : {0.1f, 1.0f, 3.0f, 6.0f, kInfinity}) {
    const float inside = InsideOf(cutoff);
    float largest = 0.0f;
    for (std::uint64_t word = 0; word < (1ull << 31); word += 99991) {
      const auto random = static_cast<std::uint32_t>(word);
      const float z = TruncatedNormal(random, inside, cutoff);
      ASSERT_EQ(TruncatedNormal(random | 0x80000000u, inside, cutoff), -z);
      ASSERT_GE(z, largest) << "the quantile must not fall";
      largest = z;
    }
    largest = TruncatedNormal(0x7fffffffu, inside, cutoff);
    EXPECT_TRUE(std::isfinite(largest));
    EXPECT_LE(largest, cutoff);
    EXPECT_GT(largest, std::min(0.999f * cutoff, 6.0f));
  }
}

TEST(TruncatedNormal, HasTheMomentsOfItsDistribution) {
  constexpr int kCount = 1 << 18;
  for (const float cutoff : {1.0f, 3.0f, std::numeric_limits<float>::infinity()}) {
    double sum = 0.0, squares = 0.0, fourths = 0.0;
    for (std::uint32_t i = 0; i < kCount / 4; ++i) {
      for (const std::uint32_t random : Philox({i, 0, 0, 0}, {17, 0})) {
        const double z = TruncatedNormal(random, InsideOf(cutoff), cutoff);
        sum += z;
        squares += z * z;
        fourths += z * z * z * z;
      }
    }
    const double c = cutoff;
    const double density = std::isinf(c) ? 0.0 : std::exp(-0.5 * c * c) / 2.50662827463100050242;
    const double ratio = std::isinf(c) ? 0.0 : 2.0 * c * density / std::erf(c / kRootOfTwo);
    const double variance = 1.0 - ratio;
    // The mean of z^n is n - 1 times that of z^(n - 2), less what is cut off.
    const auto cut_off = [&](double n) { return std::isinf(c) ? 0.0 : ratio * std::pow(c, n - 2.0); };
    const double fourth = 3.0 * variance - cut_off(4.0);
    const double eighth = 7.0 * (5.0 * fourth - cut_off(6.0)) - cut_off(8.0);
    // Six standard errors.
    EXPECT_NEAR(sum / kCount, 0.0, 6.0 * std::sqrt(variance / kCount)) << cutoff;
    EXPECT_NEAR(squares / kCount, variance, 6.0 * std::sqrt((fourth - variance * variance) / kCount)) << cutoff;
    EXPECT_NEAR(fourths / kCount, fourth, 6.0 * std::sqrt((eighth - fourth * fourth) / kCount)) << cutoff;
  }
}

}  // namespace
}  // namespace coat
