#include "comm/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/error_of.h"

namespace coat {
namespace {

std::vector<float> Reduced(std::vector<std::vector<float>> sources, Reduction reduction) {
  Context ctx(DeviceKind::kCpu, 2);
  std::vector<const std::byte*> pointers;
  for (const std::vector<float>& source : sources) {
    pointers.push_back(reinterpret_cast<const std::byte*>(source.data()));
  }
  std::vector<float>& out = sources.back();
  ReduceInOrder(ctx, pointers, reinterpret_cast<std::byte*>(out.data()), static_cast<std::int64_t>(out.size()),
                DType::kF32, reduction);
  return out;
}

TEST(Reduce, AddsFromTheFirstToTheLast) {
  // 2^24 + 1 is 2^24 in float32.
  EXPECT_EQ(Reduced({{1.0f}, {1.0f}, {16777216.0f}}, Reduction::kSum), std::vector<float>{16777218.0f});
  EXPECT_EQ(Reduced({{16777216.0f}, {1.0f}, {1.0f}}, Reduction::kSum), std::vector<float>{16777216.0f});
  EXPECT_TRUE(std::signbit(Reduced({{-0.0f}, {-0.0f}}, Reduction::kSum)[0]));
}

TEST(Reduce, MaximumWithNanIsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> largest =
      Reduced({{nan, 1.0f, 1.0f, -2.0f}, {1.0f, nan, 3.0f, -1.0f}, {1.0f, 1.0f, 2.0f, -3.0f}}, Reduction::kMax);
  EXPECT_TRUE(std::isnan(largest[0]));
  EXPECT_TRUE(std::isnan(largest[1]));
  EXPECT_EQ(largest[2], 3.0f);
  EXPECT_EQ(largest[3], -1.0f);
}

TEST(Reduce, ReachesEveryElementOfManyBlocks) {
  constexpr std::size_t kElements = 3 * 65536 + 1025;
  std::vector<std::vector<float>> sources(3, std::vector<float>(kElements));
  for (std::size_t i = 0; i < kElements; ++i) {
    for (std::size_t rank = 0; rank < 3; ++rank) sources[rank][i] = static_cast<float>(i % 1000 * (rank + 1));
  }
  const std::vector<float> sums = Reduced(sources, Reduction::kSum);
  for (std::size_t i = 0; i < kElements; ++i) ASSERT_EQ(sums[i], static_cast<float>(6 * (i % 1000))) << i;
}

TEST(Reduce, RefusesOtherTypes) {
  RequireReducible(DType::kBF16, Reduction::kSum);
  ExpectParts(ErrorOf<ArgumentError>([] { RequireReducible(DType::kE4M3, Reduction::kSum); }), {"e4m3", "f32 or bf16"});
  ExpectParts(ErrorOf<ArgumentError>([] { RequireReducible(DType::kBF16, Reduction::kMax); }), {"maximum of bf16"});
}

}  // namespace
}  // namespace coat
