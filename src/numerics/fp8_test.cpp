// FP8 codes: every code, and every float32, against a table of values made from the definition of the formats.

#include "numerics/fp8.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

namespace coat {
namespace {

/// The value of a code whose sign bit is clear, from the OCP definition: 2^(e - bias) * 1.m, or 2^(1 - bias) * 0.m.
double ValueOfMagnitude(int code, int mantissa_bits, int bias) {
  const int exponent = code >> mantissa_bits;
  const double fraction = std::ldexp(code & ((1 << mantissa_bits) - 1), -mantissa_bits);
  return exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, exponent - bias);
}

/// The float32 magnitudes, as a range of bits, that round to one code.
struct Interval {
  std::uint32_t first;
  std::uint32_t last;
  std::uint8_t code;
};

/// All magnitudes from 0 to infinity, cut at the midpoints between neighboring values; a midpoint goes to the even
/// code.
template <class F>
std::vector<Interval> IntervalsOfMagnitudes() {
  std::vector<Interval> intervals;
  std::uint32_t first = 0;
  for (int code = 0; code <= F::kMaxCode; ++code) {
    std::uint32_t last = 0x7f800000u;
    if (code < F::kMaxCode) {
      const double midpoint = 0.5 * (ValueOfMagnitude(code, F::kMantissaBits, F::kBias) +
                                     ValueOfMagnitude(code + 1, F::kMantissaBits, F::kBias));
      EXPECT_EQ(static_cast<double>(static_cast<float>(midpoint)), midpoint);
      last = std::bit_cast<std::uint32_t>(static_cast<float>(midpoint)) - (code % 2 == 0 ? 0u : 1u);
    }
    intervals.push_back({first, last, static_cast<std::uint8_t>(code)});
    first = last + 1;
  }
  return intervals;
}

/// How many of the floats with bits in [first, last] do not encode to `code`.
template <class F>
std::int64_t CountWrong(std::uint32_t first, std::uint32_t last, std::uint8_t code) {
  std::int64_t wrong = 0;
  constexpr std::uint32_t kBlock = 1u << 16;
  for (std::uint32_t begin = first;;) {
    const std::uint32_t count = last - begin < kBlock ? last - begin + 1 : kBlock;
    std::uint32_t wrong_in_block = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      wrong_in_block += EncodeFp8<F>(std::bit_cast<float>(begin + i)) != code ? 1u : 0u;
    }
    wrong += wrong_in_block;
    if (last - begin < kBlock) return wrong;
    begin += kBlock;
  }
}

template <class F>
class Fp8Test : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2>;
TYPED_TEST_SUITE(Fp8Test, Formats);

TYPED_TEST(Fp8Test, EncodesEveryFloatToTheNearestValue) {
  using F = TypeParam;
  std::vector<Interval> intervals;
  for (const Interval& magnitudes : IntervalsOfMagnitudes<F>()) {
    intervals.push_back(magnitudes);
    intervals.push_back({magnitudes.first | 0x80000000u, magnitudes.last | 0x80000000u,
                         static_cast<std::uint8_t>(magnitudes.code | 0x80u)});
  }
  intervals.push_back({0x7f800001u, 0x7fffffffu, 0x7f});
  intervals.push_back({0xff800001u, 0xffffffffu, 0x7f});

  std::uint64_t floats = 0;
  for (const Interval& interval : intervals) floats += std::uint64_t{interval.last} - interval.first + 1;
  ASSERT_EQ(floats, std::uint64_t{1} << 32) << "the intervals must cover every float once";

  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < intervals.size(); i = next++) {
      const Interval& interval = intervals[i];
      EXPECT_EQ(CountWrong<F>(interval.first, interval.last, interval.code), 0)
          << "of the floats 0x" << std::hex << interval.first << " to 0x" << interval.last << ", which are code 0x"
          << static_cast<int>(interval.code);
    }
  };
  std::thread other(work);
  work();
  other.join();
}

TYPED_TEST(Fp8Test, RoundsEveryTieToTheEvenCode) {
  using F = TypeParam;
  for (int code = 0; code < F::kMaxCode; ++code) {
    const float midpoint =
        0.5f * (DecodeFp8<F>(static_cast<std::uint8_t>(code)) + DecodeFp8<F>(static_cast<std::uint8_t>(code + 1)));
    const int even = code % 2 == 0 ? code : code + 1;
    EXPECT_EQ(EncodeFp8<F>(midpoint), even);
    EXPECT_EQ(EncodeFp8<F>(-midpoint), even | 0x80);
    EXPECT_EQ(EncodeFp8<F>(std::nextafter(midpoint, 0.0f)), code);
    EXPECT_EQ(EncodeFp8<F>(std::nextafter(midpoint, F::kMax)), code + 1);
  }
}

TYPED_TEST(Fp8Test, DecodesEveryCode) {
  using F = TypeParam;
  for (int code = 0; code < 256; ++code) {
    const int magnitude = code & 0x7f;
    const double sign = (code & 0x80) != 0 ? -1.0 : 1.0;
    const float value = DecodeFp8<F>(static_cast<std::uint8_t>(code));
    if (magnitude <= F::kMaxCode) {
      EXPECT_EQ(value, sign * ValueOfMagnitude(magnitude, F::kMantissaBits, F::kBias)) << "code " << code;
      EXPECT_EQ(std::signbit(value), sign < 0.0) << "code " << code;
    } else if (F::kBias == E5M2::kBias && magnitude == 0x7c) {
      EXPECT_EQ(value, sign * std::numeric_limits<double>::infinity()) << "code " << code;
    } else {
      EXPECT_TRUE(std::isnan(value)) << "code " << code;
    }
  }
}

TYPED_TEST(Fp8Test, GivesBackEveryCodeThatItDecodes) {
  using F = TypeParam;
  for (int code = 0; code < 256; ++code) {
    const int magnitude = code & 0x7f;
    const std::uint8_t again = EncodeFp8<F>(DecodeFp8<F>(static_cast<std::uint8_t>(code)));
    if (magnitude <= F::kMaxCode) {
      EXPECT_EQ(again, code);
    } else if (F::kBias == E5M2::kBias && magnitude == 0x7c) {
      EXPECT_EQ(again, (code & 0x80) | F::kMaxCode) << "an infinity saturates";
    } else {
      EXPECT_EQ(again, 0x7f) << "a NaN stays one";
    }
  }
}

TYPED_TEST(Fp8Test, SaturatesAndKeepsNaN) {
  using F = TypeParam;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float large : {F::kMax, std::nextafter(F::kMax, infinity), 2.0f * F::kMax, 3.0e38f, infinity}) {
    EXPECT_EQ(EncodeFp8<F>(large), F::kMaxCode);
    EXPECT_EQ(EncodeFp8<F>(-large), F::kMaxCode | 0x80);
  }
  EXPECT_EQ(EncodeFp8<F>(std::numeric_limits<float>::quiet_NaN()), 0x7f);
  EXPECT_EQ(EncodeFp8<F>(-std::numeric_limits<float>::quiet_NaN()), 0x7f);
  EXPECT_EQ(EncodeFp8<F>(-0.0f), 0x80);
}

}  // namespace
}  // namespace coat
