#pragma once
// Rows of RMSNorm in double precision; for the cases of its ops.

#include <cmath>
#include <cstdint>

#include "ops/cases/format_reference.h"
#include "ops/cases/layer_norm_rows.h"
#include "ops/cases/op_case.h"

namespace coat {

/// The mean of squares of elements [first, first + width) of a tensor.
inline double MeanSquare(ConstTensorView x, std::int64_t first, std::int64_t width) {
  double sum = 0.0;
  for (std::int64_t i = first; i < first + width; ++i) sum += ValueAt(x, i) * ValueAt(x, i);
  return sum / static_cast<double>(width);
}

/// Whether float32 sums of this many squares with this mean are infinite.
inline bool SquaresOverflow(double mean_square, std::int64_t width) {
  return std::isfinite(mean_square) && mean_square * static_cast<double>(width) > 0x1p128;
}

/// What the contracts allow for rstd, relatively: D/16 - 1 additions in each of 16 partial sums, 4 of the tree, and the
/// few operations around them.
inline double RstdError(std::int64_t width) {
  return (static_cast<double>(width) / 16.0 + 8.0) * kFloatRoundoff;
}

/// Checks the rstd of elements [first, first + width) of `x`, and returns the exact one: 0 where squares overflow.
inline double CheckRstd(std::string_view what, ConstTensorView x, std::int64_t first, std::int64_t width, double eps,
                        std::int64_t row, double got, Checker& checker) {
  const double mean_square = MeanSquare(x, first, width);
  if (SquaresOverflow(mean_square, width) || std::isinf(mean_square)) {
    checker.Near(what, row, got, 0.0, 0.0);
    return 0.0;
  }
  const double exact = 1.0 / std::sqrt(mean_square + eps);
  checker.Near(what, row, got, exact, RstdError(width) * exact);
  return exact;
}

}  // namespace coat
