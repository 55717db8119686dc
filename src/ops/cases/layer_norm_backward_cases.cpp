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
#include "ops/layer_norm.h"
#include "ops/quantize.h"

namespace coat {

namespace {

struct BackwardSetup {
  Shape shape;
  Format y;
  DType dtype = DType::kF32;
  bool overwrite = false, absmax = true;
  Data data = Data::kNormal;
  RowSpecial special = RowSpecial::kNone;

  std::string Name() const {
    return fmt::format("LayerNormBackward/y={},d={}{}{},N={},D={},{}{}", y.ToString(), NameOf(dtype),
                       overwrite ? ",overwrite" : "", absmax ? ",absmax" : "", shape[0], shape[1], NameOf(data),
                       NameOf(special));
  }
};

constexpr double kBackwardEps = 1e-5;

ConstQuantizedView NormalizedOperand(const BackwardSetup& setup, const Operands& o) {
  return setup.y.scaling == Scaling::kNone ? AsPlain(o["y"]) : o.Quantized("y", setup.y);
}

/// x, and y and rstd as the forward pass would keep them.
void AddForward(const BackwardSetup& setup, Operands& o, std::uint64_t seed) {
  const TensorView x = o.Input("x", setup.shape, DType::kF32, seed, Data::kHeavyTails);
  o.Input("rstd", {setup.shape[0]}, DType::kF32, seed);
  Operands own;
  const TensorView normalized = own.Output("normalized", setup.shape, DType::kF32);
  for (std::int64_t row = 0; row < setup.shape[0]; ++row) {
    const Moments moments = MomentsOf(RowValues(x, row));
    const double rstd = moments.Rstd(kBackwardEps);
    SetValue(o["rstd"], row, rstd);
    for (std::int64_t i = row * setup.shape[1]; i < (row + 1) * setup.shape[1]; ++i) {
      SetValue(normalized, i, (ValueAt(x, i) - moments.mean) * rstd);
    }
  }
  if (setup.y.scaling == Scaling::kNone) {
    const TensorView y = o.Input("y", setup.shape, setup.y.dtype, seed);
    for (std::int64_t i = 0; i < y.elements(); ++i) SetValue(y, i, ValueAt(normalized, i));
  } else {
    const QuantizedView y = o.QuantizedInput("y", setup.shape, setup.y, seed);
    const TensorView absmax = own.Output("absmax", {1}, DType::kF32);
    Context ctx(DeviceKind::kCpu, 1);
    AbsMax(ctx, {.x = normalized, .absmax = absmax});
    Quantize(ctx, {.x = normalized, .absmax = absmax, .y = y});
  }
}

/// The gradient of the exact LayerNorm of one row, by differentiating it.
std::vector<double> ExactGradient(const std::vector<double>& x, const std::vector<double>& d_y) {
  return ComplexStepGradient(x, [&](const std::vector<std::complex<double>>& point) {
    const double of_width = static_cast<double>(point.size());
    std::complex<double> mean = 0.0;
    std::complex<double> variance = 0.0;
    std::complex<double> product = 0.0;
    for (const auto& value : point) mean += value / of_width;
    for (const auto& value : point) variance += (value - mean) * (value - mean) / of_width;
    for (std::size_t i = 0; i < point.size(); ++i) product += d_y[i] * (point[i] - mean);
    return product / std::sqrt(variance + kBackwardEps);
  });
}

/// A row of LayerNormBackward in double, and what its bounds need.
struct BackwardRow {
  std::vector<double> x, y, d_y;
  double rstd = 0.0, mean_d = 0.0, mean_dy = 0.0, mean_d_magnitude = 0.0, mean_dy_magnitude = 0.0;

  double Gradient(std::size_t i) const { return (d_y[i] - mean_d - y[i] * mean_dy) * rstd; }
  double Magnitude(std::size_t i) const {
    return (std::abs(d_y[i]) + mean_d_magnitude + std::abs(y[i]) * mean_dy_magnitude) * rstd;
  }
};

BackwardRow RowOf(const BackwardSetup& setup, const Operands& after, std::int64_t row) {
  BackwardRow result;
  const std::int64_t width = setup.shape[1];
  const double of_width = static_cast<double>(width);
  const ConstQuantizedView y = NormalizedOperand(setup, after);
  result.rstd = ValueAt(after["rstd"], row);
  for (std::int64_t i = 0; i < width; ++i) {
    result.x.push_back(ValueAt(after["x"], row * width + i));
    result.y.push_back(ValueAt(y, row, i));
    result.d_y.push_back(ValueAt(after["d_y"], row * width + i));
    const double product = result.d_y.back() * result.y.back();
    result.mean_d += result.d_y.back() / of_width;
    result.mean_dy += product / of_width;
    result.mean_d_magnitude += std::abs(result.d_y.back()) / of_width;
    result.mean_dy_magnitude += std::abs(product) / of_width;
  }
  return result;
}

/// How far the kept y is from the exact normalized row moves the gradient by this much at the most; rstd's rounding is
/// within the bound of the op.
std::vector<double> EffectOfKeptY(const BackwardRow& row) {
  const double of_width = static_cast<double>(row.x.size());
  const Moments moments = MomentsOf(row.x);
  const double rstd = moments.Rstd(kBackwardEps);
  std::vector<double> error(row.x.size());
  double mean_d_error = 0.0;
  for (std::size_t i = 0; i < row.x.size(); ++i) {
    error[i] = std::abs((row.x[i] - moments.mean) * rstd - row.y[i]);
    mean_d_error += std::abs(row.d_y[i]) * error[i] / of_width;
  }
  std::vector<double> effect(row.x.size());
  for (std::size_t i = 0; i < row.x.size(); ++i) {
    const double y = std::abs(row.y[i]) + error[i];
    effect[i] = (error[i] * (row.mean_dy_magnitude + mean_d_error) + y * mean_d_error) * rstd +
                kFloatRoundoff * row.Magnitude(i);
  }
  return effect;
}

void CheckBackwardRow(const BackwardSetup& setup, const Operands& before, const Operands& after, std::int64_t index,
                      Checker& checker) {
  const BackwardRow row = RowOf(setup, after, index);
  const std::size_t width = row.x.size();
  const bool finite = std::isfinite(row.mean_d);
  // Differentiating takes time quadratic in the width, and large cases repeat small ones.
  const bool differentiate = finite && setup.shape.elements() * setup.shape[1] < 1000000;
  std::vector<double> exact_gradient(width), effect(width);
  if (differentiate) {
    exact_gradient = ExactGradient(row.x, row.d_y);
    effect = EffectOfKeptY(row);
  }
  for (std::size_t i = 0; i < width; ++i) {
    const std::int64_t element = index * setup.shape[1] + static_cast<std::int64_t>(i);
    const double got = ValueAt(after["d_x"], element);
    if (!finite) {
      checker.True("d_x shows what is not finite", !std::isfinite(got));
      continue;
    }
    const double sum = setup.overwrite ? 0.0 : ValueAt(before["d_x"], element);
    const double gradient = row.Gradient(i);
    const double underflow = (2.0 + 2.0 * std::abs(row.y[i])) * kUnderflow * row.rstd + kUnderflow;
    const double bound = (static_cast<double>(width) / 16.0 + 16.0) * kFloatRoundoff * row.Magnitude(i) + underflow +
                         kFloatRoundoff * std::abs(sum + gradient) + HalfUlp(setup.dtype, sum + gradient);
    checker.Near("d_x", element, got, sum + gradient, bound);
    if (differentiate) {
      checker.Near("d_x by differentiation", element, got, sum + exact_gradient[i],
                   bound + effect[i] + HalfUlp(setup.dtype, effect[i]));
    }
  }
}

OpCase BackwardCase(const BackwardSetup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    AddForward(setup, o, seed);
    Plant(setup.special, o.Input("d_y", setup.shape, setup.dtype, seed, setup.data));
    if (setup.overwrite) {
      o.Output("d_x", setup.shape, setup.dtype);
    } else {
      o.InOut("d_x", setup.shape, setup.dtype, seed, Data::kHeavyTails);
    }
    if (setup.absmax) o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  result.call = [setup](Context& ctx, const Operands& o) {
    LayerNormBackwardArgs args = {
        .y = NormalizedOperand(setup, o), .rstd = o["rstd"], .d_y = o["d_y"], .d_x = o["d_x"]};
    if (setup.absmax) args.absmax = o["absmax"];
    args.overwrite = setup.overwrite;
    LayerNormBackward(ctx, args);
  };
  result.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t row = 0; row < setup.shape[0]; ++row) CheckBackwardRow(setup, before, after, row, checker);
    if (setup.absmax) {
      const double absmax = AbsMaxOf(ValuesOf(after["d_x"]), setup.shape[0], setup.shape[1]);
      checker.Near("absmax", 0, ValueAt(after["absmax"], 0), absmax, 0.0);
    }
  };
  return result;
}

}  // namespace

std::vector<OpCase> LayerNormBackwardCases() {
  std::vector<OpCase> cases;
  const Format formats[] = {Format::Plain(DType::kF32), Format::Plain(DType::kBF16), Format::PerTensor(DType::kE4M3),
                            Format::PerTensor(DType::kE5M2)};
  for (const Format& y : formats) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const Shape& shape : kLayerNormShapes)
        cases.push_back(BackwardCase({.shape = shape, .y = y, .dtype = dtype}));
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        cases.push_back(BackwardCase({.shape = {19, 133}, .y = y, .dtype = dtype, .overwrite = true, .data = data}));
      }
      for (const RowSpecial special :
           {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
        cases.push_back(BackwardCase({.shape = {19, 133}, .y = y, .dtype = dtype, .special = special}));
      }
      for (const bool overwrite : {false, true}) {
        cases.push_back(
            BackwardCase({.shape = {7, 50}, .y = y, .dtype = dtype, .overwrite = overwrite, .absmax = false}));
      }
    }
  }
  cases.push_back(BackwardCase({.shape = kManyRows, .y = Format::PerTensor(DType::kE4M3), .dtype = DType::kBF16}));
  OpCase large = BackwardCase({.shape = {2048, 256}, .y = Format::PerTensor(DType::kE4M3), .dtype = DType::kBF16});
  large.bytes = 2048.0 * 256.0 * 7.0;
  cases.push_back(std::move(large));
  large = BackwardCase({.shape = {2048, 256}, .y = Format::Plain(DType::kF32), .dtype = DType::kF32});
  large.bytes = 2048.0 * 256.0 * 16.0;
  cases.push_back(std::move(large));
  return cases;
}

}  // namespace coat
