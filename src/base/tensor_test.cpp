#include "base/tensor.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace coat {
namespace {

TEST(TensorView, TakesRowsOfTheFirstAxis) {
  float data[12] = {};
  const TensorView x(data, {4, 3}, DType::kF32, DeviceKind::kCpu);
  const TensorView rows = x.Rows(1, 2);
  EXPECT_EQ(rows.As<float>(), data + 3);
  EXPECT_EQ(rows.shape(), Shape({2, 3}));
  EXPECT_THROW(x.Rows(3, 2), ArgumentError);
  EXPECT_THROW(x.Rows(-1, 2), ArgumentError);
}

TEST(TensorView, ReshapesOnlyToAsManyElements) {
  const TensorView x(nullptr, {4, 6}, DType::kBF16, DeviceKind::kMeta);
  EXPECT_EQ(x.Reshaped({2, 3, 4}).bytes(), 48);
  EXPECT_THROW(x.Reshaped({5, 5}), ArgumentError);
}

TEST(Shape, RefusesNegativeExtentsAndTooManyOfThem) {
  EXPECT_THROW(Shape({2, -1}), ArgumentError);
  EXPECT_THROW(Shape({1, 1, 1, 1, 1}), ArgumentError);
  EXPECT_EQ(Shape({2, 16}).ToString(), "[2, 16]");
}

TEST(Format, KnowsTheShapeOfItsScales) {
  EXPECT_EQ(Format::PerTensor(DType::kE4M3).ScaleShape({7, 9}), Shape({1}));
  EXPECT_EQ(Format::PerGroup(DType::kE4M3, 16).ScaleShape({7, 48}), Shape({7, 3}));
  EXPECT_EQ(Format::PerBlock128(DType::kE4M3).ScaleShape({256, 384}), Shape({2, 3}));
  EXPECT_THROW(Format::PerGroup(DType::kE4M3, 16).ScaleShape({7, 40}), ArgumentError);
  EXPECT_THROW(Format::PerBlock128(DType::kE4M3).ScaleShape({130, 128}), ArgumentError);
  EXPECT_EQ(Format::PerGroup(DType::kE4M3, 16).ToString(), "e4m3/g16");
}

}  // namespace
}  // namespace coat
