#include <fmt/core.h>

#include <cmath>
#include <complex>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/complex_step.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/layer_norm_rows.h"
#include "ops/cases/op_case.h"
#include "ops/cases/rms_norm_rows.h"
#include "ops/quantize.h"
#include "ops/rms_norm.h"

namespace coat {

namespace {

constexpr double kEps = 1e-6;

struct Setup {
  Shape shape;
  Format x = {};
  DType dtype = DType::kF32, gradient = DType::kF32;
  bool accumulate = false, absmax = true;
  Data data = Data::kNormal;
  RowSpecial special = RowSpecial::kNone;

  bool plain() const { return x.scaling == Scaling::kNone; }
  std::string Name() const {
    return fmt::format("RmsNormBackward/x={},d={},d_weight={}{}{},N={},D={},{}{}", x.ToString(), NameOf(dtype),
                       NameOf(gradient), accumulate ? ",accumulate" : "", absmax ? ",absmax" : "", shape[0], shape[1],
                       NameOf(data), NameOf(special));
  }
};

ConstQuantizedView InputOperand(const Setup& setup, const Operands& o) {
  return setup.plain() ? AsPlain(o["x"]) : o.Quantized("x", setup.x);
}

/// x as the forward pass would keep it and its rstd, which is that of the plain x, or of what was coded.
void AddForward(const Setup& setup, Operands& o, std::uint64_t seed) {
  const std::int64_t width = setup.shape[1];
  Operands own;
  const TensorView exact =
      own.Input("x", setup.shape, setup.plain() ? setup.dtype : DType::kF32, seed, Data::kHeavyTails);
  o.Input("rstd", {setup.shape[0]}, DType::kF32, seed);
  for (std::int64_t row = 0; row < setup.shape[0]; ++row) {
    SetValue(o["rstd"], row, 1.0 / std::sqrt(MeanSquare(exact, row * width, width) + kEps));
  }
  if (setup.plain()) {
    o.Input("x", setup.shape, setup.dtype, seed, Data::kHeavyTails);
  } else {
    Context ctx(DeviceKind::kCpu, 1);
    Quantize(ctx, {.x = exact, .y = o.QuantizedInput("x", setup.shape, setup.x, seed)});
  }
}

/// A row of RmsNormBackward in double, and what its bounds need.
struct Row {
  std::vector<double> n, g;
  double rstd = 0.0, mean = 0.0, mean_magnitude = 0.0;

  double Gradient(std::size_t i) const { return (g[i] - n[i] * mean) * rstd; }
  double Magnitude(std::size_t i) const { return (std::abs(g[i]) + std::abs(n[i]) * mean_magnitude) * rstd; }
};

Row RowOf(const Setup& setup, const Operands& before, std::int64_t index) {
  Row row;
  const std::int64_t width = setup.shape[1];
  const ConstQuantizedView x = InputOperand(setup, before);
  row.rstd = ValueAt(before["rstd"], index);
  for (std::int64_t i = 0; i < width; ++i) {
    row.n.push_back(ValueAt(x, index, i) * row.rstd);
    row.g.push_back(ValueAt(before["d_y"], index * width + i) * ValueAt(before["weight"], i));
    row.mean += row.g.back() * row.n.back() / static_cast<double>(width);
    row.mean_magnitude += std::abs(row.g.back() * row.n.back()) / static_cast<double>(width);
  }
  return row;
}

/// The gradient of the exact RMSNorm of one row, by differentiating it.
std::vector<double> ExactGradient(const Setup& setup, const Operands& before, std::int64_t index,
                                  const std::vector<double>& g) {
  const std::int64_t width = setup.shape[1];
  std::vector<double> x;
  for (std::int64_t i = 0; i < width; ++i) x.push_back(ValueAt(before["x"], index * width + i));
  return ComplexStepGradient(x, [&](const std::vector<std::complex<double>>& point) {
    std::complex<double> squares = 0.0;
    std::complex<double> product = 0.0;
    for (const auto& value : point) squares += value * value;
    for (std::size_t i = 0; i < point.size(); ++i) product += g[i] * point[i];
    return product / std::sqrt(squares / static_cast<double>(width) + kEps);
  });
}

void CheckRow(const Setup& setup, const Operands& before, const Operands& after, std::int64_t index, Checker& checker) {
  const Row row = RowOf(setup, before, index);
  const std::size_t width = row.n.size();
  const bool finite = std::isfinite(row.mean);
  // Differentiating takes time quadratic in the width, and large cases repeat small ones.
  const bool differentiate = finite && setup.plain() && setup.shape.elements() * setup.shape[1] < 1000000;
  const std::vector<double> exact =
      differentiate ? ExactGradient(setup, before, index, row.g) : std::vector<double>(width);
  for (std::size_t i = 0; i < width; ++i) {
    const std::int64_t element = index * setup.shape[1] + static_cast<std::int64_t>(i);
    const double got = ValueAt(after["d_x"], element);
    if (!finite) {
      checker.True("d_x shows what is not finite", !std::isfinite(got));
      continue;
    }
    const double gradient = row.Gradient(i);
    const double magnitude = row.Magnitude(i);
    const double underflow = (3.0 + 4.0 * std::abs(row.n[i])) * kUnderflow * row.rstd + kUnderflow;
    const double error = (static_cast<double>(width) / 16.0 + 16.0) * kFloatRoundoff * magnitude + underflow;
    checker.Near("d_x", element, got, gradient, error + HalfUlp(setup.dtype, std::abs(gradient) + error));
    if (!differentiate) continue;
    // rstd was rounded to float32; it enters up to three times.
    const double of_rstd = error + 3.0 * kFloatRoundoff * magnitude;
    checker.Near("d_x by differentiation", element, got, exact[i],
                 of_rstd + HalfUlp(setup.dtype, std::abs(exact[i]) + of_rstd));
  }
}

void CheckWeight(const Setup& setup, const Operands& before, const Operands& after, Checker& checker) {
  const std::int64_t rows = setup.shape[0];
  const std::int64_t width = setup.shape[1];
  const ConstQuantizedView x = InputOperand(setup, before);
  for (std::int64_t column = 0; column < width; ++column) {
    double sum = 0.0;
    double magnitudes = 0.0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const double n = ValueAt(x, row, column) * ValueAt(before["rstd"], row);
      const double term = ValueAt(before["d_y"], row * width + column) * n;
      sum += term;
      magnitudes += std::abs(term);
    }
    const double got = ValueAt(after["d_weight"], column);
    const double result = sum + (setup.accumulate ? ValueAt(before["d_weight"], column) : 0.0);
    if (!std::isfinite(sum)) {
      checker.True("d_weight shows what is not finite", !std::isfinite(got));
      continue;
    }
    const double error = (static_cast<double>(rows) / 512.0 + 32.0) * kFloatRoundoff * magnitudes +
                         kFloatRoundoff * std::abs(result) + static_cast<double>(rows + 1) * kUnderflow;
    checker.Near("d_weight", column, got, result, error + HalfUlp(setup.gradient, std::abs(result) + error));
  }
}

OpCase Case(const Setup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    AddForward(setup, o, seed);
    o.Input("weight", {setup.shape[1]}, DType::kF32, seed);
    Plant(setup.special, o.Input("d_y", setup.shape, setup.dtype, seed, setup.data));
    o.Output("d_x", setup.shape, setup.dtype);
    if (setup.accumulate) {
      o.InOut("d_weight", {setup.shape[1]}, setup.gradient, seed, Data::kHeavyTails);
    } else {
      o.Output("d_weight", {setup.shape[1]}, setup.gradient);
    }
    if (setup.absmax) o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  result.call = [setup](Context& ctx, const Operands& o) {
    RmsNormBackwardArgs args = {.x = InputOperand(setup, o),
                                .weight = o["weight"],
                                .rstd = o["rstd"],
                                .d_y = o["d_y"],
                                .d_x = o["d_x"],
                                .d_weight = o["d_weight"],
                                .accumulate = setup.accumulate};
    if (setup.absmax) args.absmax = o["absmax"];
    RmsNormBackward(ctx, args);
  };
  result.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t row = 0; row < setup.shape[0]; ++row) CheckRow(setup, before, after, row, checker);
    CheckWeight(setup, before, after, checker);
    if (setup.absmax) {
      const double absmax = AbsMaxOf(ValuesOf(after["d_x"]), setup.shape[0], setup.shape[1]);
      checker.Near("absmax", 0, ValueAt(after["absmax"], 0), absmax, 0.0);
    }
  };
  return result;
}

/// Widths that groups of 16 divide: of one warp and of many, in full and in part, and one not held in registers; and
/// more rows than partial sums.
const Shape kGroupedShapes[] = {{1, 16},   {0, 48},   {19, 48},  {33, 272},  {7, 528},  {3, 1040},
                                {5, 2048}, {3, 4000}, {2, 8192}, {3, 12000}, {1500, 64}};

}  // namespace

std::vector<OpCase> RmsNormBackwardCases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const Format& x :
         {Format::Plain(dtype), Format::PerGroup(DType::kE4M3, 16), Format::PerGroup(DType::kE5M2, 16)}) {
      const auto add = [&](Setup setup) {
        setup.x = x;
        setup.dtype = dtype;
        cases.push_back(Case(setup));
      };
      if (x.scaling == Scaling::kNone) {
        for (const Shape& shape : kLayerNormShapes) add({.shape = shape});
      } else {
        for (const Shape& shape : kGroupedShapes) add({.shape = shape});
      }
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        add({.shape = {19, 144}, .accumulate = true, .data = data});
      }
      for (const RowSpecial special :
           {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
        add({.shape = {19, 144}, .special = special});
      }
      for (const DType gradient : {DType::kF32, DType::kBF16}) {
        for (const bool accumulate : {false, true}) {
          add({.shape = {70, 80}, .gradient = gradient, .accumulate = accumulate, .absmax = false});
        }
      }
      add({.shape = {20, 8208}, .gradient = DType::kBF16, .accumulate = true});
    }
    for (const int group : {32, 64, 128}) {
      const Format x = Format::PerGroup(DType::kE4M3, group);
      cases.push_back(Case({.shape = {9, 384}, .x = x, .dtype = dtype}));
      cases.push_back(Case({.shape = {9, 8320}, .x = x, .dtype = dtype}));
    }
    for (const Shape& shape : {Shape{19, 133}, Shape{600, 67}, Shape{9000, 3}, kManyRows}) {
      cases.push_back(Case({.shape = shape, .x = Format::Plain(dtype), .dtype = dtype, .accumulate = true}));
    }
  }
  OpCase large = Case({.shape = {2048, 256}, .x = Format::PerGroup(DType::kE4M3, 16), .dtype = DType::kBF16});
  large.bytes = 2048.0 * 256.0 * 5.125;
  cases.push_back(std::move(large));
  return cases;
}

}  // namespace coat
