#include "convert/float_type.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace coat {
namespace {

std::uint16_t Half(float value, FloatType type, std::int64_t overflows = 0) {
  std::uint16_t bits = 0;
  EXPECT_EQ(ConvertFloats(std::as_bytes(std::span(&value, 1)), FloatType::kFloat32,
                          std::as_writable_bytes(std::span(&bits, 1)), type),
            overflows)
      << value;
  return bits;
}

float Float(std::uint16_t bits, FloatType type) {
  float value = 0.0f;
  EXPECT_EQ(ConvertFloats(std::as_bytes(std::span(&bits, 1)), type, std::as_writable_bytes(std::span(&value, 1)),
                          FloatType::kFloat32),
            0);
  return value;
}

TEST(FloatType, EveryHalfSurvivesFloat32) {
  for (const FloatType type : {FloatType::kBFloat16, FloatType::kFloat16}) {
    for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      const float value = Float(half, type);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(Float(Half(value, type), type)));
      } else {
        ASSERT_EQ(Half(value, type), half) << value;
      }
    }
  }
}

TEST(FloatType, RoundsToNearestTiesToEven) {
  for (const FloatType type : {FloatType::kBFloat16, FloatType::kFloat16}) {
    const std::uint16_t infinity = type == FloatType::kBFloat16 ? 0x7f80 : 0x7c00;
    for (std::uint16_t half = 0; half + 1 < infinity; ++half) {
      const float below = Float(half, type);
      const float above = Float(half + 1, type);
      const auto middle = static_cast<float>((static_cast<double>(below) + above) / 2);
      const std::uint16_t even = half % 2 == 0 ? half : half + 1;
      ASSERT_EQ(Half(middle, type), even) << below;
      ASSERT_EQ(Half(-middle, type), even | 0x8000) << below;
      ASSERT_EQ(Half(std::nextafter(middle, 0.0f), type), half) << below;
      ASSERT_EQ(Half(std::nextafter(middle, above), type), half + 1) << below;
    }
  }
}

TEST(FloatType, CountsFiniteValuesThatBecomeInfinite) {
  EXPECT_EQ(Half(65519.0f, FloatType::kFloat16), 0x7bff);
  EXPECT_EQ(Half(65520.0f, FloatType::kFloat16, 1), 0x7c00);
  EXPECT_EQ(Half(-1e30f, FloatType::kFloat16, 1), 0xfc00);
  EXPECT_EQ(Half(std::numeric_limits<float>::max(), FloatType::kBFloat16, 1), 0x7f80);
  EXPECT_EQ(Half(std::numeric_limits<float>::infinity(), FloatType::kFloat16), 0x7c00);
}

TEST(FloatType, KeepsTheBytesOfOneType) {
  const std::vector<std::uint32_t> from = {0x7fa00001u, 0x80000000u, 0x3f800000u};
  std::vector<std::uint32_t> to(3);
  ConvertFloats(std::as_bytes(std::span(from)), FloatType::kFloat32, std::as_writable_bytes(std::span(to)),
                FloatType::kFloat32);
  EXPECT_EQ(from, to);
}

TEST(FloatType, RefusesAnotherNumberOfValues) {
  const std::vector<std::byte> from(8);
  std::vector<std::byte> to(6);
  EXPECT_THROW(ConvertFloats(from, FloatType::kFloat32, to, FloatType::kFloat16), ArgumentError);
}

}  // namespace
}  // namespace coat
