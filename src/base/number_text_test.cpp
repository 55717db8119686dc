#include "base/number_text.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TEST(WithCommas, SetsThemBeforeGroupsOfThreeDigits) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(123456), "123,456");
  EXPECT_EQ(WithCommas(1234567890), "1,234,567,890");
  EXPECT_EQ(WithCommas(std::int64_t{-999}), "-999");
  EXPECT_EQ(WithCommas(std::int64_t{-123456}), "-123,456");
  EXPECT_EQ(WithCommas(std::int64_t{-1234}), "-1,234");
  EXPECT_EQ(WithCommas("10000000000000000000000"), "10,000,000,000,000,000,000,000");
}

TEST(InBinaryUnits, TakesTheLargestUnitOfWhichThereIsOne) {
  EXPECT_EQ(InBinaryUnits(0), "0 B");
  EXPECT_EQ(InBinaryUnits(1023), "1023 B");
  EXPECT_EQ(InBinaryUnits(1024), "1.00 KiB");
  EXPECT_EQ(InBinaryUnits(std::int64_t{3} << 19), "1.50 MiB");
  EXPECT_EQ(InBinaryUnits(std::int64_t{115} << 30), "115.00 GiB");
  EXPECT_EQ(InBinaryUnits(std::int64_t{1} << 51), "2048.00 TiB");
}

}  // namespace
}  // namespace coat
