#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ops/complex_step.h"
#include "ops/format_reference.h"
#include "ops/layer_norm.h"
#include "ops/op_case.h"
#include "ops/quantize.h"

namespace coat {

namespace {

constexpr double kSmallest = 0x1p-150;  // half of float32's smallest subnormal: the error of an underflow
constexpr DType kPlain[] = {DType::kF32, DType::kBF16};

/// What is put into some rows after the data.
enum class Special { kNone, kConstantRows, kNaN, kInfinity };

std::string_view NameOf(Special special) {
  constexpr std::string_view kNames[] = {"", ",constant_rows", ",nan", ",infinity"};
  return kNames[static_cast<int>(special)];
}

void SetValue(TensorView x, std::int64_t index, double value) {
  const auto rounded = static_cast<float>(RoundedTo(x.dtype(), value));
  if (x.dtype() == DType::kF32) x.As<float>()[index] = rounded;
  if (x.dtype() == DType::kBF16) x.As<std::uint16_t>()[index] = std::bit_cast<std::uint32_t>(rounded) >> 16;
}

void Plant(Special special, TensorView x) {
  const std::int64_t width = x.shape()[1];
  const std::int64_t middle = x.elements() / 2;
  if (special == Special::kNaN) SetValue(x, middle, std::numeric_limits<double>::quiet_NaN());
  if (special == Special::kInfinity) SetValue(x, middle, -std::numeric_limits<double>::infinity());
  if (special != Special::kConstantRows) return;
  const double levels[] = {0.0, 1234.5678, -1e-20};
  for (std::int64_t i = 0; i < x.elements(); ++i) SetValue(x, i, levels[i / width % 3]);
}

/// Exact mean and variance of a row, and the mean of its magnitudes.
struct Moments {
  double mean = 0.0, variance = 0.0, mean_magnitude = 0.0;
};

Moments MomentsOf(ConstTensorView x, std::int64_t row) {
  const std::int64_t width = x.shape()[1];
  const double of_width = static_cast<double>(width);
  Moments moments;
  for (std::int64_t i = 0; i < width; ++i) {
    moments.mean += ValueAt(x, row * width + i) / of_width;
    moments.mean_magnitude += std::abs(ValueAt(x, row * width + i)) / of_width;
  }
  for (std::int64_t i = 0; i < width; ++i) {
    moments.variance += std::pow(ValueAt(x, row * width + i) - moments.mean, 2) / of_width;
  }
  return moments;
}

/// The float32 values that AddLayerNorm rounds and NormalizeQuantize encodes, given the statistics.
TensorView NormalizedInFloat(const Operands& after, Operands& own) {
  const TensorView x = after["x"];
  const std::int64_t width = x.shape()[1];
  const TensorView y = own.Output("normalized", x.shape(), DType::kF32);
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const auto value = static_cast<float>(ValueAt(x, i));
    y.As<float>()[i] = (value - after["mean"].As<float>()[i / width]) * after["rstd"].As<float>()[i / width];
  }
  return y;
}

// AddLayerNorm ----------------------------------------------------------------------------------------------------

struct AddSetup {
  Shape shape;
  DType dtype = DType::kF32;
  bool branch = true, y = true, absmax = true;
  Data data = Data::kNormal;
  Special special = Special::kNone;
  float eps = 1e-5f;

  std::string Name() const {
    return fmt::format("AddLayerNorm/{}{}{}{},N={},D={},eps={},{}{}", NameOf(dtype), branch ? ",branch" : "",
                       y ? ",y" : "", absmax ? ",absmax" : "", shape[0], shape[1], eps, NameOf(data), NameOf(special));
  }
};

/// x += branch, in float32 and then in x's type. (The double sum of two floats rounds to float like their exact sum.)
void CheckSum(const AddSetup& setup, const Operands& before, const Operands& after, Checker& checker) {
  for (std::int64_t i = 0; i < setup.shape.elements(); ++i) {
    double sum = ValueAt(before["x"], i);
    if (setup.branch) sum += ValueAt(before["branch"], i);
    checker.Near("x", i, ValueAt(after["x"], i), RoundedTo(setup.dtype, RoundedTo(DType::kF32, sum)), 0.0);
  }
}

void CheckRow(const AddSetup& setup, const Operands& after, std::int64_t row, Checker& checker) {
  const std::int64_t width = setup.shape[1];
  const Moments exact = MomentsOf(after["x"], row);
  const double mean = ValueAt(after["mean"], row);
  const double rstd = ValueAt(after["rstd"], row);
  const auto y = [&](std::int64_t i) { return ValueAt(after["y"], row * width + i); };
  if (!std::isfinite(exact.mean)) {
    checker.True("mean and rstd show what is not finite", !std::isfinite(mean) && !std::isfinite(rstd));
    for (std::int64_t i = 0; setup.y && i < width; ++i) {
      checker.True("y shows what is not finite", !std::isfinite(y(i)));
    }
    return;
  }
  // Of each of 16 partial sums D/16 - 1 additions, 4 of the tree and a division.
  const double additions = static_cast<double>(width) / 16.0;
  const double mean_bound = (additions + 8.0) * kFloatRoundoff * exact.mean_magnitude + kSmallest;
  checker.Near("mean", row, mean, exact.mean, mean_bound);
  if (exact.variance > 0x1p128) {
    checker.Near("rstd of a row whose squares overflow", row, rstd, 0.0, 0.0);
    return;
  }
  const double variance = exact.variance + setup.eps;
  const double exact_rstd = 1.0 / std::sqrt(variance);
  // A variance about a mean that is off by e is too large by e^2.
  const double rstd_error = (additions + 8.0) * kFloatRoundoff + mean_bound * mean_bound / (2.0 * variance);
  checker.Near("rstd", row, rstd, exact_rstd, rstd_error * exact_rstd);
  for (std::int64_t i = 0; setup.y && i < width; ++i) {
    const double value = (ValueAt(after["x"], row * width + i) - exact.mean) * exact_rstd;
    const double shift = mean_bound * exact_rstd;
    double bound = shift + (std::abs(value) + shift) * (rstd_error + 3.0 * kFloatRoundoff) + kSmallest;
    if (setup.dtype == DType::kBF16) bound += HalfUlp(DType::kBF16, std::abs(value) + bound);
    checker.Near("y", row * width + i, y(i), value, bound);
  }
}

OpCase AddCase(const AddSetup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    Plant(setup.special, o.InOut("x", setup.shape, setup.dtype, seed, setup.data));
    if (setup.branch) o.Input("branch", setup.shape, setup.dtype, seed, setup.data);
    o.Output("mean", {setup.shape[0]}, DType::kF32);
    o.Output("rstd", {setup.shape[0]}, DType::kF32);
    if (setup.y) o.Output("y", setup.shape, setup.dtype);
    if (setup.absmax) o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  result.call = [setup](Context& ctx, const Operands& o) {
    AddLayerNormArgs args = {.x = o["x"], .mean = o["mean"], .rstd = o["rstd"], .eps = setup.eps};
    if (setup.branch) args.branch = o["branch"];
    if (setup.y) args.y = o["y"];
    if (setup.absmax) args.absmax = o["absmax"];
    AddLayerNorm(ctx, args);
  };
  result.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    CheckSum(setup, before, after, checker);
    for (std::int64_t row = 0; row < setup.shape[0]; ++row) CheckRow(setup, after, row, checker);
    // y and absmax are of the same float32 values.
    Operands own;
    const MatrixValues normalized = ValuesOf(NormalizedInFloat(after, own));
    const std::int64_t width = setup.shape[1];
    for (std::int64_t i = 0; setup.y && i < setup.shape.elements(); ++i) {
      const double value = normalized(i / width, i % width);
      checker.Near("y of the normalized row", i, ValueAt(after["y"], i), RoundedTo(setup.dtype, value), 0.0);
    }
    if (setup.absmax) {
      checker.Near("absmax", 0, ValueAt(after["absmax"], 0), AbsMaxOf(normalized, setup.shape[0], width), 0.0);
    }
  };
  return result;
}

/// One row, one column, and sizes around the 16 partial sums of a row and the 16 rows of a task.
const Shape kShapes[] = {{1, 1}, {3, 2}, {15, 15}, {16, 16}, {17, 17}, {33, 31}, {1, 33}, {5, 130}, {2, 1021}, {0, 7}};

void AddAddCases(std::vector<OpCase>& cases) {
  for (const DType dtype : kPlain) {
    for (const Shape& shape : kShapes) cases.push_back(AddCase({.shape = shape, .dtype = dtype}));
    for (const Data data :
         {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
      cases.push_back(AddCase({.shape = {19, 133}, .dtype = dtype, .data = data}));
    }
    for (const Special special : {Special::kConstantRows, Special::kNaN, Special::kInfinity}) {
      cases.push_back(AddCase({.shape = {19, 133}, .dtype = dtype, .branch = false, .special = special}));
    }
    for (const bool branch : {false, true}) {
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .y = false, .absmax = false}));
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .y = false}));
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .absmax = false, .eps = 0.25f}));
    }
    OpCase large = AddCase({.shape = {2048, 256}, .dtype = dtype, .y = dtype == DType::kF32});
    large.bytes = 2048.0 * 256.0 * static_cast<double>(SizeOf(dtype)) * (dtype == DType::kF32 ? 4.0 : 3.0);
    cases.push_back(std::move(large));
  }
}

// NormalizeQuantize -----------------------------------------------------------------------------------------------

/// Fills mean, rstd and absmax as AddLayerNorm would leave them.
void SetStatistics(const Operands& operands, double eps) {
  const TensorView x = operands["x"];
  for (std::int64_t row = 0; row < x.shape()[0]; ++row) {
    const Moments moments = MomentsOf(x, row);
    operands["mean"].As<float>()[row] = static_cast<float>(moments.mean);
    operands["rstd"].As<float>()[row] = static_cast<float>(1.0 / std::sqrt(moments.variance + eps));
  }
}

OpCase NormalizeCase(Shape shape, DType dtype, DType format, Data data, Special special) {
  const Format y_format = Format::PerTensor(format);
  OpCase result;
  result.name = fmt::format("NormalizeQuantize/{}->{},N={},D={},{}{}", NameOf(dtype), y_format.ToString(), shape[0],
                            shape[1], NameOf(data), NameOf(special));
  result.make = [=](std::uint64_t seed) {
    Operands o;
    Plant(special, o.Input("x", shape, dtype, seed, data));
    o.Input("mean", {shape[0]}, DType::kF32, seed);
    o.Input("rstd", {shape[0]}, DType::kF32, seed);
    SetStatistics(o, 1e-5);
    Operands own;
    const MatrixValues normalized = ValuesOf(NormalizedInFloat(o, own));
    *o.Input("absmax", {1}, DType::kF32, seed).As<float>() =
        static_cast<float>(AbsMaxOf(normalized, shape[0], shape[1]));
    o.QuantizedOutput("y", shape, y_format);
    return o;
  };
  result.call = [=](Context& ctx, const Operands& o) {
    NormalizeQuantize(
        ctx,
        {.x = o["x"], .mean = o["mean"], .rstd = o["rstd"], .absmax = o["absmax"], .y = o.Quantized("y", y_format)});
  };
  result.check = [=](const Operands&, const Operands& after, Checker& checker) {
    Operands own;
    const TensorView normalized = NormalizedInFloat(after, own);
    CheckQuantized("y", ValuesOf(normalized), ValueAt(after["absmax"], 0), after.Quantized("y", y_format), checker);
    // The fused op and its parts give the same bytes.
    const QuantizedView y = own.QuantizedOutput("y", shape, y_format);
    Context ctx(DeviceKind::kCpu, 1);
    Quantize(ctx, {.x = normalized, .absmax = after["absmax"], .y = y});
    checker.Same("y", after["y"], y.codes);
    checker.Same("y.scales", after["y.scales"], y.scales);
  };
  result.bitwise = true;
  return result;
}

void AddNormalizeCases(std::vector<OpCase>& cases) {
  for (const DType dtype : kPlain) {
    for (const DType format : {DType::kE4M3, DType::kE5M2}) {
      for (const Shape& shape : kShapes) {
        cases.push_back(NormalizeCase(shape, dtype, format, Data::kNormal, Special::kNone));
      }
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        cases.push_back(NormalizeCase({19, 133}, dtype, format, data, Special::kNone));
      }
      for (const Special special : {Special::kConstantRows, Special::kNaN, Special::kInfinity}) {
        cases.push_back(NormalizeCase({19, 133}, dtype, format, Data::kNormal, special));
      }
    }
    OpCase large = NormalizeCase({2048, 256}, dtype, DType::kE4M3, Data::kNormal, Special::kNone);
    large.bytes = 2048.0 * 256.0 * static_cast<double>(SizeOf(dtype) + 1);
    cases.push_back(std::move(large));
  }
}

// LayerNormBackward -----------------------------------------------------------------------------------------------

struct BackwardSetup {
  Shape shape;
  Format y;
  DType dtype = DType::kF32;
  bool overwrite = false, absmax = true;
  Data data = Data::kNormal;
  Special special = Special::kNone;

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
    const Moments moments = MomentsOf(x, row);
    const double rstd = 1.0 / std::sqrt(moments.variance + kBackwardEps);
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
  Moments moments;
  for (const double value : row.x) moments.mean += value / of_width;
  for (const double value : row.x) moments.variance += std::pow(value - moments.mean, 2) / of_width;
  const double rstd = 1.0 / std::sqrt(moments.variance + kBackwardEps);
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
    const double underflow = (2.0 + 2.0 * std::abs(row.y[i])) * kSmallest * row.rstd + kSmallest;
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

void AddBackwardCases(std::vector<OpCase>& cases) {
  const Format formats[] = {Format::Plain(DType::kF32), Format::Plain(DType::kBF16), Format::PerTensor(DType::kE4M3),
                            Format::PerTensor(DType::kE5M2)};
  for (const Format& y : formats) {
    for (const DType dtype : kPlain) {
      for (const Shape& shape : kShapes) cases.push_back(BackwardCase({.shape = shape, .y = y, .dtype = dtype}));
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        cases.push_back(BackwardCase({.shape = {19, 133}, .y = y, .dtype = dtype, .overwrite = true, .data = data}));
      }
      for (const Special special : {Special::kConstantRows, Special::kNaN, Special::kInfinity}) {
        cases.push_back(BackwardCase({.shape = {19, 133}, .y = y, .dtype = dtype, .special = special}));
      }
      for (const bool overwrite : {false, true}) {
        cases.push_back(
            BackwardCase({.shape = {7, 50}, .y = y, .dtype = dtype, .overwrite = overwrite, .absmax = false}));
      }
    }
  }
  OpCase large = BackwardCase({.shape = {2048, 256}, .y = Format::PerTensor(DType::kE4M3), .dtype = DType::kBF16});
  large.bytes = 2048.0 * 256.0 * 7.0;
  cases.push_back(std::move(large));
  large = BackwardCase({.shape = {2048, 256}, .y = Format::Plain(DType::kF32), .dtype = DType::kF32});
  large.bytes = 2048.0 * 256.0 * 16.0;
  cases.push_back(std::move(large));
}

}  // namespace

std::vector<OpCase> LayerNormCases() {
  std::vector<OpCase> cases;
  AddAddCases(cases);
  AddNormalizeCases(cases);
  AddBackwardCases(cases);
  return cases;
}

}  // namespace coat
