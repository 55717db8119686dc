#include <fmt/core.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "ops/cases/complex_step.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/cases/qk_norm_rope_setup.h"
#include "ops/cases/rms_norm_rows.h"
#include "ops/qk_norm_rope.h"

namespace coat {

namespace {

/// The gradient before the rotation, and the sum of the pair's magnitudes.
struct TurnedBack {
  double value, magnitude;
};

TurnedBack TurnBack(const QkSetup& setup, const Operands& before, std::int64_t row, std::int64_t first,
                    std::int64_t i) {
  const QkTurn turn = TurnOf(setup, before["table"], row, i);
  const double own = ValueAt(before["d_qkv"], first + i);
  const double partner = ValueAt(before["d_qkv"], first + turn.partner);
  return {own * turn.cosine - partner * turn.sine, std::abs(own) + std::abs(partner)};
}

void CheckGradient(const QkSetup& setup, const QkPart& part, const Operands& before, const Operands& after,
                   std::int64_t row, std::vector<double>& sums, std::vector<double>& magnitudes, Checker& checker) {
  const std::int64_t first = row * setup.width() + part.first;
  const double rstd = ValueAt(before[part.rstd], row);
  const auto of_width = static_cast<double>(part.width);
  std::vector<double> n, g, g_magnitude;
  double mean = 0.0;
  double mean_magnitude = 0.0;
  for (std::int64_t i = 0; i < part.width; ++i) {
    const TurnedBack d_y = TurnBack(setup, before, row, first, i);
    const double weight = ValueAt(before[part.weight], i);
    n.push_back(ValueAt(before["qkv"], first + i) * rstd);
    g.push_back(d_y.value * weight);
    g_magnitude.push_back(d_y.magnitude * std::abs(weight));
    mean += g.back() * n.back() / of_width;
    mean_magnitude += g_magnitude.back() * std::abs(n.back()) / of_width;
    sums[static_cast<std::size_t>(i)] += d_y.value * n.back();
    magnitudes[static_cast<std::size_t>(i)] += d_y.magnitude * std::abs(n.back());
  }
  for (std::size_t i = 0; i < n.size(); ++i) {
    const std::int64_t element = first + static_cast<std::int64_t>(i);
    const double got = ValueAt(after["d_qkv"], element);
    if (!std::isfinite(mean)) {
      checker.True("d_qkv shows what is not finite", !std::isfinite(got));
      continue;
    }
    const double gradient = (g[i] - n[i] * mean) * rstd;
    const double magnitude = (g_magnitude[i] + std::abs(n[i]) * mean_magnitude) * rstd;
    // Underflow: of two products of the rotation, times the weight, and then as in RmsNormBackward.
    const double weight = std::abs(ValueAt(before[part.weight], static_cast<std::int64_t>(i)));
    const double underflow = (4.0 + 2.0 * weight + 8.0 * std::abs(n[i])) * kUnderflow * rstd + kUnderflow;
    const double error = (of_width / 16.0 + 16.0) * kFloatRoundoff * magnitude + underflow;
    checker.Near("d_qkv", element, got, gradient, error + HalfUlp(setup.dtype, std::abs(gradient) + error));
  }
}

void CheckBackward(const QkSetup& setup, const Operands& before, const Operands& after, Checker& checker) {
  for (const QkPart& part : PartsOf(setup)) {
    std::vector<double> sums(static_cast<std::size_t>(part.width));
    std::vector<double> magnitudes(sums.size());
    for (std::int64_t row = 0; row < setup.tokens(); ++row) {
      CheckGradient(setup, part, before, after, row, sums, magnitudes, checker);
    }
    for (std::int64_t i = 0; i < part.width; ++i) {
      const double sum = sums[static_cast<std::size_t>(i)];
      const double got = ValueAt(after[part.d_weight], i);
      if (!std::isfinite(sum)) {
        checker.True("a weight's gradient shows what is not finite", !std::isfinite(got));
        continue;
      }
      const double result = sum + (setup.accumulate ? ValueAt(before[part.d_weight], i) : 0.0);
      const auto rows = static_cast<double>(setup.tokens());
      const double error = (rows / 512.0 + 32.0) * kFloatRoundoff * magnitudes[static_cast<std::size_t>(i)] +
                           kFloatRoundoff * std::abs(result) + 8.0 * (rows + 1.0) * kUnderflow;
      checker.Near(part.d_weight, i, got, result, error + HalfUlp(setup.gradient, std::abs(result) + error));
    }
  }
  for (std::int64_t row = 0; row < setup.tokens(); ++row) {
    for (std::int64_t i = row * setup.width() + setup.rotated(); i < (row + 1) * setup.width(); ++i) {
      checker.Near("d_value", i, ValueAt(after["d_qkv"], i), ValueAt(before["d_qkv"], i), 0.0);
    }
  }
  if (!setup.absmax) return;
  const double absmax = AbsMaxOf(ValuesOf(after["d_qkv"]), setup.tokens(), setup.width());
  checker.Near("absmax", 0, ValueAt(after["absmax"], 0), absmax, 0.0);
}

OpCase BackwardCase(const QkSetup& setup) {
  OpCase op;
  op.name = fmt::format("QkNormRopeBackward/{},d_weight={}{}{}", setup.Name(), NameOf(setup.gradient),
                        setup.accumulate ? ",accumulate" : "", setup.absmax ? ",absmax" : "");
  op.make = [setup](std::uint64_t seed) {
    Operands o;
    const TensorView qkv = o.Input("qkv", setup.shape(), setup.dtype, seed, Data::kHeavyTails);
    Plant(setup.special, o.InOut("d_qkv", setup.shape(), setup.dtype, seed, setup.data));
    AddTableAndWeights(setup, o, seed);
    for (const QkPart& part : PartsOf(setup)) {
      const TensorView rstd = o.Input(part.rstd, {setup.tokens()}, DType::kF32, seed);
      for (std::int64_t row = 0; row < setup.tokens(); ++row) {
        const double square = MeanSquare(qkv, row * setup.width() + part.first, part.width);
        SetValue(rstd, row, 1.0 / std::sqrt(square + setup.eps));
      }
      if (setup.accumulate) {
        o.InOut(part.d_weight, {part.width}, setup.gradient, seed, Data::kHeavyTails);
      } else {
        o.Output(part.d_weight, {part.width}, setup.gradient);
      }
    }
    if (setup.absmax) o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  op.call = [setup](Context& ctx, const Operands& o) {
    QkNormRopeBackward(ctx, {.qkv = o["qkv"],
                             .q_weight = o["q_weight"],
                             .k_weight = o["k_weight"],
                             .q_rstd = o["q_rstd"],
                             .k_rstd = o["k_rstd"],
                             .table = o["table"],
                             .d_qkv = o["d_qkv"],
                             .d_q_weight = o["d_q_weight"],
                             .d_k_weight = o["d_k_weight"],
                             .absmax = setup.absmax ? o["absmax"] : TensorView(),
                             .heads = setup.heads,
                             .kv_heads = setup.kv_heads,
                             .accumulate = setup.accumulate});
  };
  op.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    CheckBackward(setup, before, after, checker);
  };
  op.bytes = 3.0 * static_cast<double>(setup.tokens() * setup.rotated() * SizeOf(setup.dtype));
  return op;
}

/// QkNormRopeBackward against complex steps of sum(d_qkv * QkNormRopeForward(qkv)), by qkv and by both weights.
OpCase DerivativeCase(const QkSetup& setup) {
  OpCase op = BackwardCase(setup);
  op.name = "QkNormRopeBackward/derivative," + setup.Name();
  op.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    for (const QkPart& part : PartsOf(setup)) {
      const auto width = static_cast<std::size_t>(part.width);
      std::vector<double> d_weight(width), magnitudes(width);
      for (std::int64_t row = 0; row < setup.tokens(); ++row) {
        const std::int64_t first = row * setup.width() + part.first;
        // The point: a row of the part, then the weight.
        std::vector<double> point;
        for (std::int64_t i = 0; i < part.width; ++i) point.push_back(ValueAt(before["qkv"], first + i));
        for (std::int64_t i = 0; i < part.width; ++i) point.push_back(ValueAt(before[part.weight], i));
        double magnitude = 0.0;
        for (std::int64_t i = 0; i < part.width; ++i) magnitude += std::abs(ValueAt(before["d_qkv"], first + i));
        const auto objective = [&](const std::vector<std::complex<double>>& at) {
          std::complex<double> squares = 0.0;
          for (std::size_t i = 0; i < width; ++i) squares += at[i] * at[i];
          const auto rstd = 1.0 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(setup.eps));
          std::complex<double> sum = 0.0;
          for (std::size_t i = 0; i < width; ++i) {
            const QkTurn turn = TurnOf(setup, before["table"], row, static_cast<std::int64_t>(i));
            const auto partner = static_cast<std::size_t>(turn.partner);
            const auto rotated = static_cast<double>(turn.cosine) * (at[width + i] * at[i] * rstd) +
                                 static_cast<double>(turn.sine) * (at[width + partner] * at[partner] * rstd);
            sum += ValueAt(before["d_qkv"], first + static_cast<std::int64_t>(i)) * rotated;
          }
          return sum;
        };
        const std::vector<double> exact = ComplexStepGradient(point, objective);
        // Every float32 operation and rstd's own rounding, of terms no larger than all of the row's gradients times the
        // largest weight, twice that of a normalized element and rstd.
        double largest = 0.0;
        for (std::size_t i = 0; i < width; ++i) largest = std::max(largest, std::abs(point[width + i]));
        const double rstd = ValueAt(before[part.rstd], row);
        const double of_width = static_cast<double>(width);
        const double bound = (of_width / 16.0 + 24.0) * kFloatRoundoff * magnitude * largest * (1.0 + of_width) * rstd;
        for (std::size_t i = 0; i < width; ++i) {
          const std::int64_t element = first + static_cast<std::int64_t>(i);
          checker.Near("d_qkv", element, ValueAt(after["d_qkv"], element), exact[i], bound);
          d_weight[i] += exact[width + i];
          const double pair = TurnBack(setup, before, row, first, static_cast<std::int64_t>(i)).magnitude;
          magnitudes[i] += pair * std::abs(point[i]) * rstd;
        }
      }
      for (std::size_t i = 0; i < width; ++i) {
        const auto column = static_cast<std::int64_t>(i);
        checker.Near(part.d_weight, column, ValueAt(after[part.d_weight], column), d_weight[i],
                     34.0 * kFloatRoundoff * magnitudes[i]);
      }
    }
  };
  op.bytes = 0.0;
  return op;
}

}  // namespace

std::vector<OpCase> QkNormRopeBackwardCases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (QkSetup setup : QkSetups(dtype)) {
      cases.push_back(BackwardCase(setup));
      setup.absmax = setup.accumulate = true;
      cases.push_back(BackwardCase(setup));
    }
    for (QkSetup setup : HardQkSetups(dtype)) {
      setup.absmax = true;
      cases.push_back(BackwardCase(setup));
    }
    for (const bool accumulate : {false, true}) {
      cases.push_back(BackwardCase({.dtype = dtype,
                                    .sequences = 3,
                                    .positions = 6,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .head_size = 16,
                                    .gradient = DType::kBF16,
                                    .accumulate = accumulate}));
    }
  }
  cases.push_back(DerivativeCase({.sequences = 2, .positions = 3, .heads = 2, .kv_heads = 1, .head_size = 6}));
  cases.push_back(DerivativeCase({.sequences = 2, .positions = 5, .heads = 3, .kv_heads = 2, .head_size = 16}));
  return cases;
}

}  // namespace coat
