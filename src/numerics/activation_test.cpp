// Sigmoid against double precision, over all floats where it changes; and what its form for GPUs relies on.

#include "numerics/activation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace coat {
namespace {

constexpr double kRoundoff = 0x1p-24;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The largest relative error of Sigmoid on every `stride`-th float whose magnitude is in [low, high].
double WorstError(float low, float high, bool negative, std::uint32_t stride) {
  double worst = 0.0;
  for (std::uint32_t bits = std::bit_cast<std::uint32_t>(low); bits <= std::bit_cast<std::uint32_t>(high);
       bits += stride) {
    const float x = negative ? -std::bit_cast<float>(bits) : std::bit_cast<float>(bits);
    const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    worst = std::max(worst, std::abs(Sigmoid(x) - exact) / exact);
  }
  return worst;
}

TEST(Sigmoid, IsWithinThreeRoundoffs) {
  constexpr std::uint32_t kStride = 7;  // coprime to every power of two
  EXPECT_LE(WorstError(0x1p-27f, 100.0f, false, kStride), 3.0 * kRoundoff);
  EXPECT_LE(WorstError(0x1p-27f, 87.33f, true, kStride), 3.0 * kRoundoff);
}

TEST(Sigmoid, GoesToZeroAndOneAndKeepsNaN) {
  EXPECT_EQ(Sigmoid(0.0f), 0.5f);
  EXPECT_EQ(Sigmoid(-0.0f), 0.5f);
  EXPECT_EQ(Sigmoid(std::numeric_limits<float>::denorm_min()), 0.5f);
  EXPECT_EQ(Sigmoid(88.0f), 1.0f);
  EXPECT_EQ(Sigmoid(1e30f), 1.0f);
  EXPECT_EQ(Sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(Sigmoid(-87.34f), 0.0f);
  EXPECT_EQ(Sigmoid(-1e30f), 0.0f);
  EXPECT_EQ(Sigmoid(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(Sigmoid(kNaN)));
}

TEST(Sigmoid, KeepsItsDistanceFromWhereTheReciprocalOfAGpuIsFlushed) {
  // 1 + e^-x is not within 4 ulp of 2^126 for any float x, as ReciprocalOrZero asks: only x near -126 ln 2 could be,
  // and the error of e^-x is below 2 ulp.
  double nearest = 1.0;
  for (float x = -87.33f; x > -87.34f; x = std::nextafter(x, -kInfinity)) {
    nearest = std::min(nearest, std::abs(std::exp(-static_cast<double>(x)) * 0x1p-126 - 1.0));
  }
  EXPECT_GT(nearest, 6.0 * 0x1p-23);
}

TEST(Swiglu, BackwardGivesTheProductOfForward) {
  for (const float gate : {-100.0f, -87.335f, -20.0f, -1.5f, -0.0f, 0.3f, 5.0f, 90.0f}) {
    for (const float up : {-3.0f, 1e-20f, 7.5f}) {
      EXPECT_EQ(SwigluBackwardElement(up, gate, 2.0f).product, Swiglu(up, gate)) << up << " " << gate;
    }
  }
}

// Pinned results, so that another compiler, CPU or GPU must give these bits too; in a vector loop as one at a time.
TEST(Sigmoid, HasTheseBitsEverywhere) {
  std::vector<float> x, y;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 99991u) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  y.resize(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = Sigmoid(x[i]);
  std::uint64_t hash = 1469598103934665603u;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const volatile float argument = x[i];  // keeps the compiler from making a vector loop of these
    ASSERT_EQ(y[i], Sigmoid(argument)) << x[i];
    hash = (hash ^ std::bit_cast<std::uint32_t>(y[i])) * 1099511628211u;
  }
  EXPECT_EQ(hash, 0xf6de8bd154a95239u) << "0x" << std::hex << hash;
}

}  // namespace
}  // namespace coat
