#pragma once
// Rows that LayerNorm finds hard, and their exact moments; for the cases of LayerNorm's ops.

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

/// One row, one column, sizes around the 16 partial sums of a row and the 16 rows of a task, and widths that are held
/// in registers by one warp and by several, in full and in part, up to widths that are not.
inline const Shape kLayerNormShapes[] = {{1, 1},    {3, 2},    {15, 15},  {16, 16},   {17, 17},  {33, 31},
                                         {1, 33},   {5, 130},  {2, 1021}, {0, 7},     {6, 264},  {5, 1000},
                                         {2, 2048}, {3, 4000}, {2, 8192}, {1, 12000}, {1, 17000}};
/// More rows than warps that a device is given.
inline const Shape kManyRows = {40000, 8};

/// Half of float32's smallest subnormal: the error of an underflow.
constexpr double kUnderflow = 0x1p-150;

/// What is put into a tensor after the data.
enum class RowSpecial { kNone, kLargestLast, kConstantRows, kNaN, kInfinity };

inline std::string_view NameOf(RowSpecial special) {
  constexpr std::string_view kNames[] = {"", ",largest_last", ",constant_rows", ",nan", ",infinity"};
  return kNames[static_cast<int>(special)];
}

/// Makes the last element the largest, or the middle one not finite, or rows constant: zeros, a large number, a tiny
/// one.
inline void Plant(RowSpecial special, TensorView x) {
  const std::int64_t width = x.shape()[1];
  const std::int64_t middle = x.elements() / 2;
  if (special == RowSpecial::kLargestLast) SetValue(x, x.elements() - 1, -1e6);
  if (special == RowSpecial::kNaN) SetValue(x, middle, std::numeric_limits<double>::quiet_NaN());
  if (special == RowSpecial::kInfinity) SetValue(x, middle, -std::numeric_limits<double>::infinity());
  if (special != RowSpecial::kConstantRows) return;
  const double levels[] = {0.0, 1234.5678, -1e-20};
  for (std::int64_t i = 0; i < x.elements(); ++i) SetValue(x, i, levels[i / width % 3]);
}

inline std::vector<double> RowValues(ConstTensorView x, std::int64_t row) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < x.shape()[1]; ++i) values.push_back(ValueAt(x, row * x.shape()[1] + i));
  return values;
}

/// Mean and population variance of a row, and the mean of its magnitudes.
struct Moments {
  double mean = 0.0, variance = 0.0, mean_magnitude = 0.0;

  double Rstd(double eps) const { return 1.0 / std::sqrt(variance + eps); }
};

inline Moments MomentsOf(const std::vector<double>& row) {
  const double of_width = static_cast<double>(row.size());
  Moments moments;
  for (const double value : row) {
    moments.mean += value / of_width;
    moments.mean_magnitude += std::abs(value) / of_width;
  }
  for (const double value : row) moments.variance += (value - moments.mean) * (value - moments.mean) / of_width;
  return moments;
}

}  // namespace coat
