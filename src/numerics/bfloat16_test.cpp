#include "numerics/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace coat {
namespace {

constexpr std::uint32_t kInfinityBits = 0x7f80;

BFloat16 WithBits(std::uint32_t bits) {
  return {static_cast<std::uint16_t>(bits)};
}

TEST(BFloat16, GivesBackEveryValue) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = ToFloat(WithBits(bits));
    EXPECT_EQ(std::bit_cast<std::uint32_t>(value), bits << 16);
    const bool nan = (bits & 0x7fffu) > kInfinityBits;
    EXPECT_EQ(std::isnan(value), nan);
    EXPECT_EQ(ToBFloat16(value).bits, nan ? ((bits & 0x8000u) | 0x7fffu) : bits);
  }
}

TEST(BFloat16, RoundsToTheNearerNeighborAndTiesToEven) {
  for (std::uint32_t bits = 0; bits < kInfinityBits; ++bits) {
    // In double: the neighbor above the largest finite value is 2^128, where float32 has infinity.
    const double below = ToFloat(WithBits(bits));
    const double above = bits + 1 == kInfinityBits ? std::ldexp(1.0, 128) : ToFloat(WithBits(bits + 1));
    const float midpoint = static_cast<float>(0.5 * (below + above));
    ASSERT_EQ(static_cast<double>(midpoint), 0.5 * (below + above));
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    EXPECT_EQ(ToBFloat16(midpoint).bits, even);
    EXPECT_EQ(ToBFloat16(-midpoint).bits, even | 0x8000u);
    EXPECT_EQ(ToBFloat16(std::nextafter(midpoint, 0.0f)).bits, bits);
    EXPECT_EQ(ToBFloat16(std::nextafter(midpoint, std::numeric_limits<float>::infinity())).bits, bits + 1);
  }
}

TEST(BFloat16, RoundsNaNsOfEveryPayloadToTheQuietNaN) {
  for (std::uint32_t payload = 1; payload < 0x00800000u; payload += 127) {
    EXPECT_EQ(ToBFloat16(std::bit_cast<float>(0x7f800000u + payload)).bits, 0x7fff);
    EXPECT_EQ(ToBFloat16(std::bit_cast<float>(0xff800000u + payload)).bits, 0xffff);
  }
}

TEST(BFloat16, RoundsUpToTheSmallestValueThatIsNotBelow) {
  for (std::uint32_t bits = 0; bits < kInfinityBits; ++bits) {
    const float value = ToFloat(WithBits(bits));
    EXPECT_EQ(ToBFloat16RoundedUp(value).bits, bits);
    EXPECT_EQ(ToBFloat16RoundedUp(std::bit_cast<float>((bits << 16) + 1u)).bits, bits + 1);
    EXPECT_EQ(ToBFloat16RoundedUp(std::bit_cast<float>((bits << 16) + 0x8000u)).bits, bits + 1);
    EXPECT_EQ(ToBFloat16RoundedUp(std::bit_cast<float>((bits << 16) + 0xffffu)).bits, bits + 1);
  }
}

TEST(BFloat16, RoundsToThePlainTypes) {
  EXPECT_EQ(RoundTo<float>(1.00390625f), 1.00390625f);
  EXPECT_EQ(RoundTo<BFloat16>(1.00390625f).bits, 0x3f80);
}

}  // namespace
}  // namespace coat
