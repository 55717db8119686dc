// Dynamic range expansion against its definition in double, and on the groups that COAT's kernel ruins.

#include "numerics/expansion.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace coat {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
constexpr double kRoundoff = 0x1p-24;
constexpr double kLn2 = 0.69314718055994530942;

/// How far Log2OfRatio may be from a ratio's logarithm: two fractions up to 1/2 within four ulp, 2^-23 each, their
/// difference up to 1 rounded, and the sum.
double Log2OfRatioError(double log2) {
  return 2.0 * 0x1p-23 + 0x1p-25 + kRoundoff * std::abs(log2);
}

template <class F>
class ExpansionTest : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2>;
TYPED_TEST_SUITE(ExpansionTest, Formats);

/// A group's codes and metadata, as an optimizer stores them.
template <class F>
struct Group {
  float absmax = 0.0f;
  float exponent = 1.0f;
  std::vector<std::uint8_t> codes;

  explicit Group(const std::vector<float>& values, float expand_min = 16.0f) {
    float absmin = kLargest;
    for (const float x : values) {
      absmax = std::max(absmax, std::abs(x));
      if (x != 0.0f) absmin = std::min(absmin, std::abs(x));
    }
    exponent = ExpansionExponent<F>(absmax, std::min(absmin, absmax), expand_min);
    for (const float x : values) codes.push_back(EncodeExpanded<F>(x, SplitLog2(absmax), exponent));
  }
  float Decode(std::size_t i) const { return DecodeExpanded<F>(codes[i], absmax, 1.0f / exponent); }
};

TEST(ExpansionExponent, HasCoatsValues) {
  const auto exponent = [](float ratio) { return ExpansionExponent<E4M3>(ratio, 1.0f, 16.0f); };
  EXPECT_EQ(exponent(2.0f), 16.5625f);
  EXPECT_EQ(exponent(10.0f), 5.0f);
  EXPECT_EQ(exponent(100.0f), 2.5f);
  EXPECT_EQ(exponent(1e3f), 1.625f);
  EXPECT_EQ(exponent(1e4f), 1.25f);
  EXPECT_EQ(exponent(1e5f), 1.0f);
  EXPECT_EQ(exponent(1e6f), 0.8125f);
}

TYPED_TEST(ExpansionTest, ExponentIsTheFlooredQuotientOfTheRanges) {
  using F = TypeParam;
  const double wanted = std::log2(static_cast<double>(F::kMax) * F::kMax / 2.0);
  EXPECT_EQ(kExpandedRangeLog2<F>, static_cast<float>(wanted));
  std::mt19937_64 generator(3);
  std::uniform_real_distribution<double> log_ratio(1e-3, 63.9);
  std::uniform_real_distribution<double> log_absmax(-60.0, 120.0);
  for (const float expand_min : {1.0f, 3.0f, 16.0f, 128.0f}) {
    for (int i = 0; i < 20000; ++i) {
      const double log_a = log_absmax(generator);
      const float absmax = static_cast<float>(std::exp2(log_a));
      const float absmin = static_cast<float>(std::exp2(log_a - log_ratio(generator)));
      const double range = std::log2(static_cast<double>(absmax) / absmin);
      const double steps = wanted / range * expand_min;
      const float exponent = ExpansionExponent<F>(absmax, absmin, expand_min);
      const double got = std::round(static_cast<double>(exponent) * expand_min);
      ASSERT_EQ(exponent, static_cast<float>(got) / expand_min);
      // The floor may fall on the other side where the quotient is a whole number but for its rounding: of the range,
      // of the constant, the quotient and the product.
      const double error = Log2OfRatioError(range) / range + 3.0 * kRoundoff;
      ASSERT_LE(got, std::max(std::floor(steps * (1.0 + error)), 1.0)) << absmax << " " << absmin;
      ASSERT_GE(got, std::max(std::floor(steps * (1.0 - error)), 1.0)) << absmax << " " << absmin;
    }
  }
}

TYPED_TEST(ExpansionTest, ExponentIsDefinedForEveryGroup) {
  using F = TypeParam;
  EXPECT_EQ(ExpansionExponent<F>(0.0f, 0.0f, 16.0f), 1.0f);
  EXPECT_EQ(ExpansionExponent<F>(3.0f, 3.0f, 16.0f), 1.0f);
  EXPECT_EQ(ExpansionExponent<F>(kSmallest, kSmallest, 16.0f), 1.0f);
  for (const float expand_min : {1.0f, 16.0f}) {
    for (const float absmin : {kSmallest, 1e-38f, 1.0f, std::nextafter(kLargest, 0.0f)}) {
      const float exponent = ExpansionExponent<F>(kLargest, absmin, expand_min);
      EXPECT_TRUE(std::isfinite(exponent));
      EXPECT_GE(exponent, 1.0f / expand_min);
    }
  }
  // Neighbors: the smallest ranges there are.
  for (float absmax = 1e-3f; absmax < 1e3f; absmax *= 1.0137f) {
    const float exponent = ExpansionExponent<F>(absmax, std::nextafter(absmax, 0.0f), 16.0f);
    EXPECT_TRUE(std::isfinite(exponent));
    EXPECT_GE(exponent, 1.0f);
  }
}

TYPED_TEST(ExpansionTest, RoundsToTheNearestCodeOfTheExpandedValue) {
  using F = TypeParam;
  std::mt19937_64 generator(11);
  std::normal_distribution<float> normal;
  for (const float power : {1.0f, 3.0f, 9.0f}) {
    for (int group = 0; group < 50; ++group) {
      std::vector<float> values(128);
      for (float& x : values)
        x = std::copysign(std::pow(std::abs(normal(generator)), power), normal(generator)) * 1e-4f;
      const Group<F> stored(values);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] == 0.0f) continue;
        const double ratio = std::abs(static_cast<double>(values[i])) / stored.absmax;
        const double expanded = F::kMax * std::pow(ratio, static_cast<double>(stored.exponent));
        const double code = DecodeFp8<F>(stored.codes[i] & 0x7f);
        const double step = std::ldexp(1.0, std::max(std::ilogb(expanded), 1 - F::kBias) - F::kMantissaBits);
        // The logarithm times k, rounded, as a power of two, within an ulp; then the product with kMax.
        const double log2 = std::log2(ratio);
        const double power_error = stored.exponent * (Log2OfRatioError(log2) + kRoundoff * std::abs(log2));
        ASSERT_NEAR(code, std::max(expanded, std::ldexp(1.0, 1 - F::kBias - F::kMantissaBits)),
                    step * 0.5 + expanded * (kLn2 * power_error + 3.0 * kRoundoff));
        // The quotient by kMax, rounded, its logarithm within four ulp, 1 / k and the product with it, the power of two
        // within an ulp, the product with the largest.
        const double decoded = stored.absmax * std::pow(code / F::kMax, 1.0 / stored.exponent);
        const double root_log2 = std::abs(std::log2(decoded / stored.absmax));
        ASSERT_NEAR(
            stored.Decode(i), std::copysign(decoded, values[i]),
            decoded * (kRoundoff / stored.exponent + kLn2 * (8.0 + 2.0) * kRoundoff * root_log2 + 3.0 * kRoundoff));
      }
    }
  }
}

TYPED_TEST(ExpansionTest, KeepsEveryKindOfGroupFiniteAndInsideItsRange) {
  using F = TypeParam;
  std::vector<std::vector<float>> groups = {std::vector<float>(128, 0.0f),
                                            std::vector<float>(128, -0.0f),
                                            std::vector<float>(128, 7.0f),
                                            {1.7e-5f},
                                            {0.0f},
                                            {-3.0f, 0.0f, 0.0f},
                                            {0.0f, 2.0f, 1.0f},
                                            {kSmallest, kLargest},
                                            {kSmallest, -2.0f * kSmallest, 0.0f},
                                            {kSmallest, 1.0f, -1.5f, 3.0f},
                                            {kLargest, std::nextafter(kLargest, 0.0f)},
                                            {1.0f, std::nextafter(1.0f, 0.0f)},
                                            {1e-38f, 1.0f, 1e38f},
                                            {1e-30f, 0.5f, 0.25f, 0.75f}};
  for (const std::vector<float>& values : groups) {
    for (const float expand_min : {1.0f, 16.0f, 1000.0f}) {
      const Group<F> stored(values, expand_min);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float decoded = stored.Decode(i);
        ASSERT_TRUE(std::isfinite(decoded));
        ASSERT_LE(std::abs(decoded), stored.absmax);
        ASSERT_EQ((stored.codes[i] & 0x7f) == 0, values[i] == 0.0f) << values[i];
        if (values[i] == 0.0f) {
          ASSERT_EQ(decoded, 0.0f);
        }
        if (std::abs(values[i]) == stored.absmax) {
          ASSERT_EQ(decoded, values[i]);
        }
      }
    }
  }
}

TYPED_TEST(ExpansionTest, GivesBackASingleMagnitudeExactly) {
  using F = TypeParam;
  for (std::uint32_t bits = 1; bits < 0x7f800000u; bits += 10007u) {
    const float x = std::bit_cast<float>(bits);
    const Group<F> stored({0.0f, -x, x});
    ASSERT_EQ(stored.Decode(0), 0.0f);
    ASSERT_EQ(stored.Decode(1), -x);
    ASSERT_EQ(stored.Decode(2), x);
  }
}

TYPED_TEST(ExpansionTest, DoesNotLoseAGroupToOneVanishingMoment) {
  using F = TypeParam;
  const Group<F> stored({kSmallest, 0.8f, -0.3f, 1.0f});
  // log2 of the step of a normal code, over the least exponent there is: 64 binades on kExpandedRangeLog2.
  const double half_step = std::exp2(std::log2(1.0 + std::ldexp(0.5, -F::kMantissaBits)) / stored.exponent);
  EXPECT_GE(stored.exponent, std::floor(kExpandedRangeLog2<F> / 64.0f * 16.0f) / 16.0f);
  EXPECT_LT(stored.Decode(1) / 0.8f, half_step);
  EXPECT_GT(stored.Decode(1) / 0.8f, 1.0 / half_step);
  EXPECT_LT(stored.Decode(2) / -0.3f, half_step);
  EXPECT_GT(stored.Decode(2) / -0.3f, 1.0 / half_step);
}

TYPED_TEST(ExpansionTest, GivesBackEveryCodeThatItDecodes) {
  using F = TypeParam;
  for (const float absmax : {1.0f, 3.3e-9f, 5e20f}) {
    const float least = std::floor(kExpandedRangeLog2<F> / kLargestRangeLog2 * 16.0f) / 16.0f;
    for (const float exponent : {least, 0.8125f, 1.0f, 2.5f, 16.5625f, 300.0f}) {
      for (int code = 0; code < 256; ++code) {
        if ((code & 0x7f) > F::kMaxCode || code == 0x80) continue;
        const float x = DecodeExpanded<F>(static_cast<std::uint8_t>(code), absmax, 1.0f / exponent);
        ASSERT_EQ(EncodeExpanded<F>(x, SplitLog2(absmax), exponent), code) << absmax << " " << exponent;
      }
    }
  }
}

TYPED_TEST(ExpansionTest, IsALinearScaleWithoutExpansion) {
  using F = TypeParam;
  for (const float absmax : {1.0f, 3.3e-9f, 5e20f, kLargest, 1e-38f, kSmallest}) {
    EXPECT_EQ(EncodeUnexpanded<F>(-absmax, absmax), F::kMaxCode | 0x80);
    EXPECT_EQ(DecodeUnexpanded<F>(F::kMaxCode, absmax), absmax);
    EXPECT_EQ(EncodeUnexpanded<F>(kSmallest, absmax) == 0, false);
    EXPECT_EQ(EncodeUnexpanded<F>(0.0f, absmax), 0);
    for (int i = 1; i <= 1000; ++i) {
      const float x = absmax * (static_cast<float>(i) / 1000.0f);
      if (x < 1e-30f) continue;
      const double y = static_cast<double>(x) / absmax * F::kMax;
      const std::uint8_t code = EncodeUnexpanded<F>(x, absmax);
      const double step = std::ldexp(1.0, std::max(std::ilogb(y), 1 - F::kBias) - F::kMantissaBits);
      // Either way a quotient and a product are rounded.
      ASSERT_NEAR(DecodeFp8<F>(code), y, 0.5 * step + 2.0 * kRoundoff * y);
      const double decoded = static_cast<double>(DecodeFp8<F>(code)) / F::kMax * absmax;
      ASSERT_NEAR(DecodeUnexpanded<F>(code, absmax), decoded, 2.0 * kRoundoff * decoded);
    }
  }
  EXPECT_EQ(EncodeUnexpanded<F>(0.0f, 0.0f), 0);
  EXPECT_EQ(DecodeUnexpanded<F>(0, 0.0f), 0.0f);
}

}  // namespace
}  // namespace coat
