#pragma once
// What RMSNorm of rows and of queries and keys share.

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/context.h"
#include "base/tensor.h"
#include "cpu/lanes.h"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cpu {

/// 1 / sqrt(mean(x^2) + eps) of a row.
template <class T>
inline float RstdOfRow(const T* x, std::int64_t width, float eps) {
  const float squares = LaneSum(width, [=](std::int64_t i) { return ToFloat(x[i]) * ToFloat(x[i]); });
  return 1.0f / std::sqrt(squares / static_cast<float>(width) + eps);
}

/// sums [W] f32 or bf16 = the sum over `rows` rows of float terms, or added to. Strips of `strip` columns, the last may
/// be narrower, are taken by one thread each: fill(row, begin, count, terms) gives a row's terms of a strip. Summed in
/// double, in the order of the rows.
template <class Fill>
void SumColumns(Context& ctx, std::int64_t rows, std::int64_t strip, bool accumulate, TensorView sums, Fill&& fill) {
  const std::int64_t width = sums.elements();
  ctx.ParallelBlocks(width, strip, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t count = end - begin;
    std::vector<double> totals(static_cast<std::size_t>(count));
    std::vector<float> terms(static_cast<std::size_t>(count));
    for (std::int64_t row = 0; row < rows; ++row) {
      fill(row, begin, count, terms.data());
      for (std::size_t i = 0; i < terms.size(); ++i) totals[i] += static_cast<double>(terms[i]);
    }
    VisitPlain(sums.dtype(), [&]<class G>() {
      G* out = sums.As<G>() + begin;
      for (std::size_t i = 0; i < totals.size(); ++i) {
        const auto total = static_cast<float>(totals[i]);
        out[i] = RoundTo<G>(accumulate ? ToFloat(out[i]) + total : total);
      }
    });
  });
}

}  // namespace coat::cpu
