#include "base/arena.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace coat {
namespace {

/// A layout with a nested temporary, run on any arena.
void LayOut(Arena& arena) {
  arena.Tensor("a", {3, 5}, DType::kF32);
  {
    const Arena::Scope scope(arena);
    arena.Tensor("temporary", {1000}, DType::kBF16);
  }
  arena.Quantized("q", {2, 32}, Format::PerGroup(DType::kE4M3, 16));
}

TEST(Arena, BindsExactlyWhatItMeasured) {
  Arena measured = Arena::Measuring("m");
  LayOut(measured);
  EXPECT_EQ(measured.peak_bytes(), 256 + 2048);
  EXPECT_EQ(measured.used_bytes(), 3 * 256);
  Arena bound = Arena::Bound("b", Context(DeviceKind::kCpu, 1), measured.peak_bytes());
  LayOut(bound);
  EXPECT_EQ(bound.peak_bytes(), measured.peak_bytes());
  ASSERT_EQ(bound.entries().size(), 3u);
  EXPECT_EQ(bound.entries()[2].name, "q.scales");
  EXPECT_EQ(bound.entries()[2].bytes, 2 * 2 * 2);
}

TEST(Arena, NamesTheTensorThatDoesNotFit) {
  Arena arena = Arena::Bound("saved", Context(DeviceKind::kCpu, 1), 256);
  arena.Tensor("first", {64}, DType::kF32);
  try {
    arena.Tensor("second", {1}, DType::kU8);
    FAIL() << "no error";
  } catch (const ArgumentError& error) {
    EXPECT_NE(std::string(error.what()).find("arena saved is full: second [1] u8 needs 1 bytes at 256 of 256"),
              std::string::npos)
        << error.what();
  }
}

TEST(Arena, HandsOutDistinctAlignedZeroedMemory) {
  Arena arena = Arena::Bound("b", Context(DeviceKind::kCpu, 1), 4096);
  auto* a = arena.Tensor("a", {7}, DType::kU8).As<std::uint8_t>();
  auto* b = arena.Tensor("b", {7}, DType::kU8).As<std::uint8_t>();
  EXPECT_EQ(b - a, Arena::kAlignment);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % Arena::kAlignment, 0u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(a[i], 0);
}

}  // namespace
}  // namespace coat
