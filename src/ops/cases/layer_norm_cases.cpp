#include <fmt/core.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/layer_norm_rows.h"
#include "ops/cases/op_case.h"
#include "ops/layer_norm.h"
#include "ops/quantize.h"

namespace coat {

namespace {

constexpr DType kPlain[] = {DType::kF32, DType::kBF16};

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
  RowSpecial special = RowSpecial::kNone;
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
  const Moments exact = MomentsOf(RowValues(after["x"], row));
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
  const double mean_bound = (additions + 8.0) * kFloatRoundoff * exact.mean_magnitude + kUnderflow;
  checker.Near("mean", row, mean, exact.mean, mean_bound);
  if (exact.variance > 0x1p128) {
    checker.Near("rstd of a row whose squares overflow", row, rstd, 0.0, 0.0);
    return;
  }
  const double variance = exact.variance + setup.eps;
  const double exact_rstd = exact.Rstd(setup.eps);
  // A variance about a mean that is off by e is too large by e^2.
  const double rstd_error = (additions + 8.0) * kFloatRoundoff + mean_bound * mean_bound / (2.0 * variance);
  checker.Near("rstd", row, rstd, exact_rstd, rstd_error * exact_rstd);
  for (std::int64_t i = 0; setup.y && i < width; ++i) {
    const double value = (ValueAt(after["x"], row * width + i) - exact.mean) * exact_rstd;
    const double shift = mean_bound * exact_rstd;
    double bound = shift + (std::abs(value) + shift) * (rstd_error + 3.0 * kFloatRoundoff) + kUnderflow;
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

void AddAddCases(std::vector<OpCase>& cases) {
  for (const DType dtype : kPlain) {
    for (const Shape& shape : kLayerNormShapes) cases.push_back(AddCase({.shape = shape, .dtype = dtype}));
    for (const Data data :
         {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
      cases.push_back(AddCase({.shape = {19, 133}, .dtype = dtype, .data = data}));
    }
    for (const RowSpecial special :
         {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
      cases.push_back(AddCase({.shape = {19, 133}, .dtype = dtype, .branch = false, .special = special}));
    }
    for (const bool branch : {false, true}) {
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .y = false, .absmax = false}));
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .y = false}));
      cases.push_back(AddCase({.shape = {7, 50}, .dtype = dtype, .branch = branch, .absmax = false, .eps = 0.25f}));
    }
    cases.push_back(AddCase({.shape = kManyRows, .dtype = dtype}));
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
    const Moments moments = MomentsOf(RowValues(x, row));
    operands["mean"].As<float>()[row] = static_cast<float>(moments.mean);
    operands["rstd"].As<float>()[row] = static_cast<float>(moments.Rstd(eps));
  }
}

OpCase NormalizeCase(Shape shape, DType dtype, DType format, Data data, RowSpecial special) {
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
      for (const Shape& shape : kLayerNormShapes) {
        cases.push_back(NormalizeCase(shape, dtype, format, Data::kNormal, RowSpecial::kNone));
      }
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        cases.push_back(NormalizeCase({19, 133}, dtype, format, data, RowSpecial::kNone));
      }
      for (const RowSpecial special :
           {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
        cases.push_back(NormalizeCase({19, 133}, dtype, format, Data::kNormal, special));
      }
    }
    OpCase large = NormalizeCase({2048, 256}, dtype, DType::kE4M3, Data::kNormal, RowSpecial::kNone);
    large.bytes = 2048.0 * 256.0 * static_cast<double>(SizeOf(dtype) + 1);
    cases.push_back(std::move(large));
  }
}

}  // namespace

std::vector<OpCase> LayerNormCases() {
  std::vector<OpCase> cases;
  AddAddCases(cases);
  AddNormalizeCases(cases);
  return cases;
}

}  // namespace coat
