#include "ops/qk_norm_rope.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ops/complex_step.h"
#include "ops/format_reference.h"
#include "ops/op_case.h"
#include "ops/rms_norm_rows.h"

namespace coat {

namespace {

constexpr double kTheta = 500000.0;

struct Setup {
  DType dtype = DType::kF32;
  std::int64_t sequences = 1, positions = 1, heads = 1, kv_heads = 1, head_size = 2;
  Data data = Data::kNormal;
  RowSpecial special = RowSpecial::kNone;
  float eps = 1e-6f;
  bool in_place = false;  // forward
  DType gradient = DType::kF32;
  bool accumulate = false, absmax = false;  // backward

  std::int64_t tokens() const { return sequences * positions; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t queries() const { return heads * head_size; }
  std::int64_t rotated() const { return (heads + kv_heads) * head_size; }
  Shape shape() const { return {tokens(), width()}; }
  std::string Name() const {
    return fmt::format("{},B={},T={},H={},Hk={},K={},eps={},{}{}", NameOf(dtype), sequences, positions, heads, kv_heads,
                       head_size, eps, NameOf(data), NameOf(special));
  }
};

/// Queries or keys of a row: first column, width and the names of what belongs to them.
struct Part {
  std::int64_t first, width;
  const char* weight;
  const char* rstd;
  const char* d_weight;
};

std::vector<Part> PartsOf(const Setup& setup) {
  return {{0, setup.queries(), "q_weight", "q_rstd", "d_q_weight"},
          {setup.queries(), setup.rotated() - setup.queries(), "k_weight", "k_rstd", "d_k_weight"}};
}

void AddTableAndWeights(const Setup& setup, Operands& o, std::uint64_t seed) {
  const TensorView table = o.Input("table", {setup.positions, setup.head_size}, DType::kF32, seed);
  const std::int64_t half = setup.head_size / 2;
  for (std::int64_t p = 0; p < setup.positions; ++p) {
    for (std::int64_t j = 0; j < half; ++j) {
      const double angle =
          static_cast<double>(p) * std::pow(kTheta, -static_cast<double>(j) / static_cast<double>(half));
      SetValue(table, p * setup.head_size + j, std::cos(angle));
      SetValue(table, p * setup.head_size + half + j, std::sin(angle));
    }
  }
  for (const Part& part : PartsOf(setup)) o.Input(part.weight, {part.width}, DType::kF32, seed);
}

/// An element's pair: its partner's column, and cosine and sine of the turn with the sine's sign for this element.
struct Turn {
  std::int64_t partner;
  float cosine, sine;
};

Turn TurnOf(const Setup& setup, ConstTensorView table, std::int64_t row, std::int64_t column) {
  const std::int64_t half = setup.head_size / 2;
  const std::int64_t in_head = column % setup.head_size;
  const float* angles = table.As<float>() + row % setup.positions * setup.head_size;
  const float cosine = angles[in_head % half];
  const float sine = angles[half + in_head % half];
  return in_head < half ? Turn{column + half, cosine, -sine} : Turn{column - half, cosine, sine};
}

// Forward ---------------------------------------------------------------------------------------------------------

void CheckPart(const Setup& setup, const Part& part, const Operands& before, const Operands& after, std::int64_t row,
               Checker& checker) {
  const ConstTensorView x = before["qkv"];
  const ConstTensorView rotated = after[setup.in_place ? "qkv" : "rotated"];
  const std::int64_t first = row * setup.width() + part.first;
  const float rstd = after[part.rstd].As<float>()[row];
  const double exact_rstd = CheckRstd(part.rstd, x, first, part.width, setup.eps, row, rstd, checker);
  const float* weight = before[part.weight].As<float>();
  const auto exact = [&](std::int64_t i) {
    return static_cast<double>(weight[i]) * (ValueAt(x, first + i) * exact_rstd);
  };
  const auto in_float = [&](std::int64_t i) { return weight[i] * (static_cast<float>(ValueAt(x, first + i)) * rstd); };
  for (std::int64_t i = 0; i < part.width; ++i) {
    const double got = ValueAt(rotated, first + i);
    const Turn turn = TurnOf(setup, before["table"], row, i);
    // The float32 operations one by one, which the contract fixes.
    const float own = in_float(i) * turn.cosine;
    const float partner = in_float(turn.partner) * turn.sine;
    checker.Near("rotated given rstd", first + i, got, RoundedTo(setup.dtype, static_cast<double>(own + partner)), 0.0);
    const double value = exact(i) * turn.cosine + exact(turn.partner) * turn.sine;
    const double magnitude = std::abs(exact(i) * turn.cosine) + std::abs(exact(turn.partner) * turn.sine);
    const double weights = std::abs(weight[i]) + std::abs(weight[turn.partner]);
    double bound = magnitude * (RstdError(part.width) + 6.0 * kFloatRoundoff) + (4.0 + weights) * kUnderflow;
    if (setup.dtype == DType::kBF16) bound += HalfUlp(DType::kBF16, std::abs(value) + bound);
    checker.Near("rotated", first + i, got, value, bound);
  }
}

OpCase ForwardCase(const Setup& setup) {
  OpCase op;
  op.name = fmt::format("QkNormRopeForward/{}{}", setup.Name(), setup.in_place ? ",in_place" : "");
  op.make = [setup](std::uint64_t seed) {
    Operands o;
    if (setup.in_place) {
      o.InOut("qkv", setup.shape(), setup.dtype, seed, setup.data);
    } else {
      o.Input("qkv", setup.shape(), setup.dtype, seed, setup.data);
      o.Output("rotated", setup.shape(), setup.dtype);
    }
    Plant(setup.special, o["qkv"]);
    AddTableAndWeights(setup, o, seed);
    for (const Part& part : PartsOf(setup)) o.Output(part.rstd, {setup.tokens()}, DType::kF32);
    return o;
  };
  op.call = [setup](Context& ctx, const Operands& o) {
    QkNormRopeForward(ctx, {.qkv = o["qkv"],
                            .q_weight = o["q_weight"],
                            .k_weight = o["k_weight"],
                            .table = o["table"],
                            .rotated = o[setup.in_place ? "qkv" : "rotated"],
                            .q_rstd = o["q_rstd"],
                            .k_rstd = o["k_rstd"],
                            .heads = setup.heads,
                            .kv_heads = setup.kv_heads,
                            .eps = setup.eps});
  };
  op.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    const ConstTensorView rotated = after[setup.in_place ? "qkv" : "rotated"];
    for (std::int64_t row = 0; row < setup.tokens(); ++row) {
      for (const Part& part : PartsOf(setup)) CheckPart(setup, part, before, after, row, checker);
      for (std::int64_t i = row * setup.width() + setup.rotated(); i < (row + 1) * setup.width(); ++i) {
        checker.Near("value", i, ValueAt(rotated, i), ValueAt(before["qkv"], i), 0.0);
      }
    }
    checker.Same("q_weight", after["q_weight"], before["q_weight"]);
  };
  op.bytes = (setup.in_place ? 2.0 * static_cast<double>(setup.rotated()) : 2.0 * static_cast<double>(setup.width())) *
             static_cast<double>(setup.tokens() * SizeOf(setup.dtype));
  return op;
}

// Backward --------------------------------------------------------------------------------------------------------

/// The gradient before the rotation, and the sum of the pair's magnitudes.
struct TurnedBack {
  double value, magnitude;
};

TurnedBack TurnBack(const Setup& setup, const Operands& before, std::int64_t row, std::int64_t first, std::int64_t i) {
  const Turn turn = TurnOf(setup, before["table"], row, i);
  const double own = ValueAt(before["d_qkv"], first + i);
  const double partner = ValueAt(before["d_qkv"], first + turn.partner);
  return {own * turn.cosine - partner * turn.sine, std::abs(own) + std::abs(partner)};
}

void CheckGradient(const Setup& setup, const Part& part, const Operands& before, const Operands& after,
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

void CheckBackward(const Setup& setup, const Operands& before, const Operands& after, Checker& checker) {
  for (const Part& part : PartsOf(setup)) {
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

OpCase BackwardCase(const Setup& setup) {
  OpCase op;
  op.name = fmt::format("QkNormRopeBackward/{},d_weight={}{}{}", setup.Name(), NameOf(setup.gradient),
                        setup.accumulate ? ",accumulate" : "", setup.absmax ? ",absmax" : "");
  op.make = [setup](std::uint64_t seed) {
    Operands o;
    const TensorView qkv = o.Input("qkv", setup.shape(), setup.dtype, seed, Data::kHeavyTails);
    Plant(setup.special, o.InOut("d_qkv", setup.shape(), setup.dtype, seed, setup.data));
    AddTableAndWeights(setup, o, seed);
    for (const Part& part : PartsOf(setup)) {
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
OpCase DerivativeCase(const Setup& setup) {
  OpCase op = BackwardCase(setup);
  op.name = "QkNormRopeBackward/derivative," + setup.Name();
  op.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    for (const Part& part : PartsOf(setup)) {
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
            const Turn turn = TurnOf(setup, before["table"], row, static_cast<std::int64_t>(i));
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

std::vector<OpCase> QkNormRopeCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  const auto setup = [](DType dtype, std::int64_t sequences, std::int64_t positions, std::int64_t heads,
                        std::int64_t kv_heads, std::int64_t head_size) {
    return Setup{.dtype = dtype,
                 .sequences = sequences,
                 .positions = positions,
                 .heads = heads,
                 .kv_heads = kv_heads,
                 .head_size = head_size};
  };
  std::vector<OpCase> cases;
  for (const DType dtype : {kF32, kBF16}) {
    const Setup setups[] = {
        setup(dtype, 1, 1, 1, 1, 2),      setup(dtype, 3, 7, 3, 1, 6),    setup(dtype, 2, 37, 4, 2, 34),
        setup(dtype, 2, 9, 3, 1, 16),     setup(dtype, 2, 33, 4, 4, 32),  setup(dtype, 3, 5, 6, 2, 80),
        setup(dtype, 2, 19, 16, 16, 128), setup(dtype, 1, 5, 40, 8, 128), setup(dtype, 1, 3, 64, 1, 128),
        setup(dtype, 1, 2, 8, 2, 1024),   setup(dtype, 1, 3, 65, 2, 128), setup(dtype, 0, 3, 2, 2, 16),
        setup(dtype, 2, 700, 2, 1, 16),   setup(dtype, 2, 700, 1, 1, 6),
    };
    for (Setup one : setups) {
      cases.push_back(ForwardCase(one));
      one.in_place = true;
      cases.push_back(ForwardCase(one));
      cases.push_back(BackwardCase(one));
      one.absmax = one.accumulate = true;
      cases.push_back(BackwardCase(one));
    }
    for (const std::int64_t head_size : {std::int64_t{16}, std::int64_t{10}}) {
      Setup one = setup(dtype, 3, 6, 4, 2, head_size);
      for (const Data data : {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge}) {
        one.data = data;
        one.absmax = true;
        cases.push_back(ForwardCase(one));
        cases.push_back(BackwardCase(one));
      }
      one.data = Data::kNormal;
      for (const RowSpecial special :
           {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
        one.special = special;
        cases.push_back(ForwardCase(one));
        cases.push_back(BackwardCase(one));
      }
      one.special = RowSpecial::kNone;
      one.eps = 0.25f;
      one.gradient = kBF16;
      cases.push_back(ForwardCase(one));
      for (const bool accumulate : {false, true}) {
        one.accumulate = accumulate;
        cases.push_back(BackwardCase(one));
      }
    }
    // More tokens than a device has threads for.
    cases.push_back(ForwardCase(setup(dtype, 20'000, 3, 1, 1, 2)));
    cases.push_back(BackwardCase(setup(dtype, 20'000, 3, 1, 1, 2)));
  }
  cases.push_back(DerivativeCase(setup(kF32, 2, 3, 2, 1, 6)));
  cases.push_back(DerivativeCase(setup(kF32, 2, 5, 3, 2, 16)));
  return cases;
}

}  // namespace coat
