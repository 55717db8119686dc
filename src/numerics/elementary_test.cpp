// Exp, Exp2 and Log2 against double precision, whose error (under 1e-8 of a float32 ulp) does not count.

#include "numerics/elementary.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace coat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

/// |got - exact| in units of the last place of a float32 near `exact`, for normal numbers.
double ErrorInUlp(float got, double exact) {
  return std::abs(got - exact) / std::ldexp(1.0, std::ilogb(exact) - 23);
}

struct Worst {
  double ulp = 0.0;
  float at = 0.0f;

  void Take(float x, double error) {
    if (error <= ulp) return;
    ulp = error;
    at = x;
  }
};

/// Calls body(x) for every `stride`-th float with bits in [first, last], and for the first and the last.
template <class Body>
void ForEachFloat(float first, float last, std::uint32_t stride, Body&& body) {
  const std::uint32_t begin = std::bit_cast<std::uint32_t>(first);
  const std::uint32_t end = std::bit_cast<std::uint32_t>(last);
  for (std::uint64_t bits = begin; bits < end; bits += stride)
    body(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  body(last);
}

// Coprime to every power of two, so that all binades and all low bits are met.
constexpr std::uint32_t kStride = 31;

TEST(Exp, IsWithinOneUlpWhereItIsNormal) {
  Worst worst;
  const auto check = [&](float x) {
    const double exact = std::exp(static_cast<double>(x));
    if (exact >= kSmallestNormal && exact <= std::numeric_limits<float>::max()) {
      worst.Take(x, ErrorInUlp(Exp(x), exact));
    }
  };
  ForEachFloat(0.0f, 88.72284f, kStride, check);
  ForEachFloat(-0.0f, -87.33655f, kStride, check);
  EXPECT_LE(worst.ulp, 1.0) << "at " << worst.at;
}

TEST(Exp, RoundsSubnormalResultsToWithinTheSmallestNumber) {
  ForEachFloat(-87.33655f, -104.0f, 1,
               [](float x) { ASSERT_NEAR(Exp(x), std::exp(static_cast<double>(x)), 0x1p-149) << x; });
}

TEST(Exp, GoesToZeroAndToInfinityAndKeepsNaN) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(88.73f), kInfinity);
  EXPECT_EQ(Exp(1.0e30f), kInfinity);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_EQ(Exp(-104.1f), 0.0f);
  EXPECT_EQ(Exp(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(Exp(kNaN)));
}

TEST(Exp2, IsWithinOneUlpWhereItIsNormal) {
  Worst worst;
  const auto check = [&](float x) { worst.Take(x, ErrorInUlp(Exp2(x), std::exp2(static_cast<double>(x)))); };
  ForEachFloat(0.0f, std::nextafter(128.0f, 0.0f), kStride, check);
  ForEachFloat(-0.0f, -126.0f, kStride, check);
  EXPECT_LE(worst.ulp, 1.0) << "at " << worst.at;
}

TEST(Exp2, RoundsSubnormalResultsToWithinTheSmallestNumber) {
  ForEachFloat(-126.0f, -150.0f, 1,
               [](float x) { ASSERT_NEAR(Exp2(x), std::exp2(static_cast<double>(x)), 0x1p-149) << x; });
}

TEST(Exp2, IsExactForWholeNumbers) {
  for (int n = -149; n <= 127; ++n) EXPECT_EQ(Exp2(static_cast<float>(n)), std::ldexp(1.0f, n)) << n;
}

TEST(Exp2, GoesToZeroAndToInfinityAndKeepsNaN) {
  EXPECT_EQ(Exp2(128.0f), kInfinity);
  EXPECT_EQ(Exp2(1.0e30f), kInfinity);
  EXPECT_EQ(Exp2(kInfinity), kInfinity);
  EXPECT_EQ(Exp2(-151.0f), 0.0f);
  EXPECT_EQ(Exp2(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(Exp2(kNaN)));
}

TEST(Log2, IsWithinFourUlpAlsoForSubnormals) {
  Worst worst;
  ForEachFloat(std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max(), kStride, [&](float x) {
    if (x != 1.0f) worst.Take(x, ErrorInUlp(Log2(x), std::log2(static_cast<double>(x))));
  });
  EXPECT_LE(worst.ulp, 4.0) << "at " << worst.at;
}

TEST(Log2, IsWithinFourUlpForEveryArgumentBetweenOneHalfAndTwo) {
  Worst worst;
  ForEachFloat(0.5f, 2.0f, 1, [&](float x) {
    if (x != 1.0f) worst.Take(x, ErrorInUlp(Log2(x), std::log2(static_cast<double>(x))));
  });
  EXPECT_LE(worst.ulp, 4.0) << "at " << worst.at;
}

TEST(Log2, IsExactForPowersOfTwo) {
  for (int n = -149; n <= 127; ++n) EXPECT_EQ(Log2(std::ldexp(1.0f, n)), static_cast<float>(n)) << n;
}

TEST(Log2, OfZeroIsAFixedNumberBelowAllOthers) {
  EXPECT_EQ(Log2(0.0f), -151.0f);
  EXPECT_EQ(SplitLog2(0.0f).exponent, -151.0f);
  EXPECT_EQ(SplitLog2(0.0f).fraction, 0.0f);
}

TEST(SplitLog2, IsAWholeNumberAndAFractionWithinFourUlp) {
  Worst worst;
  ForEachFloat(std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max(), kStride, [&](float x) {
    const Log2Parts parts = SplitLog2(x);
    ASSERT_EQ(parts.exponent, std::floor(parts.exponent));
    ASSERT_LE(std::abs(parts.fraction), 0.5f);
    // The fraction is the logarithm of x without its exponent, which is exact.
    const double mantissa = std::ldexp(static_cast<double>(x), -static_cast<int>(parts.exponent));
    if (mantissa != 1.0) worst.Take(x, ErrorInUlp(parts.fraction, std::log2(mantissa)));
  });
  EXPECT_LE(worst.ulp, 4.0) << "at " << worst.at;
}

/// One call at a time: the volatile argument keeps the compiler from making a vector loop of these.
template <float (*function)(float)>
float OneAtATime(float x) {
  const volatile float argument = x;
  return function(argument);
}

template <float (*function)(float)>
void ExpectSameBitsInALoop(float lowest, float highest) {
  std::vector<float> x;
  for (std::uint32_t bits = 0; bits < 0xff800000u; bits += 12347u) {
    const float value = std::bit_cast<float>(bits);
    if (value >= lowest && value <= highest) x.push_back(value);
  }
  ASSERT_GT(x.size(), 50000u);
  std::vector<float> y(x.size());
  const float* in = x.data();
  float* out = y.data();
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = function(in[i]);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(y[i]), std::bit_cast<std::uint32_t>(OneAtATime<function>(x[i]))) << x[i];
  }
}

TEST(Elementary, HasTheSameBitsInAVectorLoopAsOneAtATime) {
  ExpectSameBitsInALoop<Exp>(-kInfinity, kInfinity);
  ExpectSameBitsInALoop<Exp2>(-kInfinity, kInfinity);
  ExpectSameBitsInALoop<Log2>(0.0f, std::numeric_limits<float>::max());
}

// Pinned results, so that another compiler, CPU or GPU must give these bits too.
TEST(Elementary, HasTheseBitsEverywhere) {
  std::uint64_t hash = 1469598103934665603u;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 99991u) {
    const float x = std::bit_cast<float>(bits);
    for (const float y : {Exp(x), Exp(-x), Exp2(x), Exp2(-x), Log2(x)}) {
      hash = (hash ^ std::bit_cast<std::uint32_t>(y)) * 1099511628211u;
    }
  }
  EXPECT_EQ(hash, 0x0f4c3866f811508cu) << "0x" << std::hex << hash;
}

}  // namespace
}  // namespace coat
