#include "numerics/scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace coat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

template <class F>
class ScaleTest : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2>;
TYPED_TEST_SUITE(ScaleTest, Formats);

/// Calls body(absmax) for positive float32 from the smallest subnormal to the largest finite, with all exponents and
/// many mantissas.
template <class Body>
void ForEachAbsMax(Body&& body) {
  for (std::uint32_t bits = 1; bits < 0x7f800000u; bits += 65521u) body(std::bit_cast<float>(bits));
  for (std::uint32_t bits = 0; bits < 0x7f80u; ++bits) {
    if (bits > 0) body(std::bit_cast<float>(bits << 16));
    body(std::bit_cast<float>((bits << 16) + 1u));
    body(std::bit_cast<float>((bits << 16) + 0xffffu));
  }
}

TYPED_TEST(ScaleTest, IsTheQuotientButNeverTooSmallToInvert) {
  using F = TypeParam;
  ForEachAbsMax([](float absmax) {
    const float scale = ScaleFromAbsMax<F>(absmax);
    const double exact = static_cast<double>(absmax) / F::kMax;
    if (exact < kSmallestNormal) {
      ASSERT_EQ(scale, kSmallestNormal) << absmax;
    } else {
      ASSERT_EQ(scale, static_cast<float>(exact)) << absmax;
    }
    ASSERT_TRUE(std::isfinite(1.0f / scale)) << absmax;
  });
}

TYPED_TEST(ScaleTest, RoundsGroupScalesUpToTheNextBFloat16) {
  using F = TypeParam;
  ForEachAbsMax([](float absmax) {
    const float scale = ScaleFromAbsMax<F>(absmax);
    const BFloat16 rounded = GroupScaleFromAbsMax<F>(absmax);
    ASSERT_GE(ToFloat(rounded), scale) << absmax;
    ASSERT_LT(ToFloat(BFloat16{static_cast<std::uint16_t>(rounded.bits - 1)}), scale) << absmax;
    ASSERT_TRUE(std::isfinite(1.0f / ToFloat(rounded))) << absmax;
  });
}

TYPED_TEST(ScaleTest, GivesTheLargestMagnitudeTheLargestCode) {
  using F = TypeParam;
  ForEachAbsMax([](float absmax) {
    if (absmax < kSmallestNormal * F::kMax) return;  // under the floor of the scales
    ASSERT_EQ(EncodeScaled<F>(absmax, 1.0f / ScaleFromAbsMax<F>(absmax)), F::kMaxCode) << absmax;
    ASSERT_EQ(EncodeScaled<F>(-absmax, 1.0f / ToFloat(GroupScaleFromAbsMax<F>(absmax))), F::kMaxCode | 0x80) << absmax;
  });
}

TYPED_TEST(ScaleTest, DecodesToWithinHalfAStep) {
  using F = TypeParam;
  // A step of a normal number is 2^-kMantissaBits of its power of two; the reciprocal and the product with it round
  // before, by 2^-24 each, and the quotient here once.
  for (const float absmax : {1.0f, 447.9f, 3.0e-30f, 2.9e38f, 1.7f}) {
    const float scale = ToFloat(GroupScaleFromAbsMax<F>(absmax));
    for (int i = 1; i <= 1000; ++i) {
      const float x = absmax * static_cast<float>(i) / 1000.0f;
      const double decoded = static_cast<double>(DecodeFp8<F>(EncodeScaled<F>(x, 1.0f / scale))) * scale;
      const int exponent = std::max(std::ilogb(static_cast<double>(x) / scale), 1 - F::kBias);
      const double step = std::ldexp(static_cast<double>(scale), exponent - F::kMantissaBits);
      EXPECT_NEAR(decoded, x, 0.5 * step + 0x1p-23 * x) << "absmax " << absmax;
    }
  }
}

TYPED_TEST(ScaleTest, IsOneForZerosAndShowsWhatIsNotFinite) {
  using F = TypeParam;
  EXPECT_EQ(ScaleFromAbsMax<F>(0.0f), 1.0f);
  EXPECT_EQ(ToFloat(GroupScaleFromAbsMax<F>(0.0f)), 1.0f);
  EXPECT_EQ(ScaleFromAbsMax<F>(kInfinity), kInfinity);
  EXPECT_EQ(ToFloat(GroupScaleFromAbsMax<F>(kInfinity)), kInfinity);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(ScaleFromAbsMax<F>(kNaN)), std::bit_cast<std::uint32_t>(kNaN));
  EXPECT_TRUE(std::isnan(ToFloat(GroupScaleFromAbsMax<F>(kNaN))));
}

TEST(Scale, IsAsComputedByHand) {
  EXPECT_EQ(ScaleFromAbsMax<E4M3>(448.0f), 1.0f);
  EXPECT_EQ(ScaleFromAbsMax<E5M2>(57344.0f), 1.0f);
  EXPECT_EQ(ScaleFromAbsMax<E4M3>(7.0f), 0.015625f);
  // 3 / 448 = 0.00669642857 = 0x3bdb6db7: up to 0x3bdc.
  EXPECT_EQ(GroupScaleFromAbsMax<E4M3>(3.0f).bits, 0x3bdc);
}

}  // namespace
}  // namespace coat
