#include <fmt/core.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/layer_norm_rows.h"
#include "ops/cases/op_case.h"
#include "ops/cases/rms_norm_rows.h"
#include "ops/quantize.h"
#include "ops/rms_norm.h"

namespace coat {

namespace {

constexpr DType kPlain[] = {DType::kF32, DType::kBF16};

/// A case of RmsNorm or, with `add`, of AddRmsNorm. The normalized tensor is "x" or "branch".
struct Setup {
  Shape shape;
  DType dtype = DType::kF32;
  bool add = false, in_place = false, absmax = false;
  Format kept = {};  // in groups, or none
  Data data = Data::kNormal;
  RowSpecial special = RowSpecial::kNone;
  float eps = 1e-6f;

  bool keeps() const { return kept.scaling == Scaling::kGroup; }
  const char* normalized() const { return add ? "branch" : "x"; }
  const char* y() const { return in_place ? "x" : "y"; }
  std::string Name() const {
    return fmt::format("{}/{}{}{}{},N={},D={},eps={},{}{}", add ? "AddRmsNorm" : "RmsNorm", NameOf(dtype),
                       in_place ? ",in_place" : "", keeps() ? ",kept=" + kept.ToString() : "", absmax ? ",absmax" : "",
                       shape[0], shape[1], eps, NameOf(data), NameOf(special));
  }
};

/// y given rstd: its float32 operations one by one, which the contract fixes.
double YGivenRstd(const Setup& setup, const Operands& before, float rstd, std::int64_t i) {
  const auto x = static_cast<float>(ValueAt(before[setup.normalized()], i));
  float value = before["weight"].As<float>()[i % setup.shape[1]] * (x * rstd);
  if (setup.add) value = static_cast<float>(ValueAt(before["x"], i)) + value;
  return RoundedTo(setup.dtype, static_cast<double>(value));
}

void CheckRow(const Setup& setup, const Operands& before, const Operands& after, std::int64_t row, Checker& checker) {
  const std::int64_t width = setup.shape[1];
  const ConstTensorView x = before[setup.normalized()];
  const float rstd = after["rstd"].As<float>()[row];
  const double exact_rstd = CheckRstd("rstd", x, row * width, width, setup.eps, row, rstd, checker);
  for (std::int64_t i = row * width; i < (row + 1) * width; ++i) {
    const double got = ValueAt(after[setup.y()], i);
    checker.Near("y given rstd", i, got, YGivenRstd(setup, before, rstd, i), 0.0);
    const double weight = ValueAt(before["weight"], i % width);
    const double normalized = weight * (ValueAt(x, i) * exact_rstd);
    const double value = normalized + (setup.add ? ValueAt(before["x"], i) : 0.0);
    // rstd and two products, then the sum; products may underflow.
    double bound = std::abs(normalized) * (RstdError(width) + 3.0 * kFloatRoundoff) + kFloatRoundoff * std::abs(value) +
                   (2.0 + std::abs(weight)) * kUnderflow;
    if (setup.dtype == DType::kBF16) bound += HalfUlp(DType::kBF16, std::abs(value) + bound);
    checker.Near("y", i, got, value, bound);
  }
}

OpCase Case(const Setup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    if (setup.in_place) {
      o.InOut("x", setup.shape, setup.dtype, seed, setup.data);
    } else {
      o.Input("x", setup.shape, setup.dtype, seed, setup.data);
      o.Output("y", setup.shape, setup.dtype);
    }
    if (setup.add) o.Input("branch", setup.shape, setup.dtype, seed, setup.data);
    Plant(setup.special, o[setup.normalized()]);
    o.Input("weight", {setup.shape[1]}, DType::kF32, seed);
    o.Output("rstd", {setup.shape[0]}, DType::kF32);
    if (setup.keeps()) o.QuantizedOutput("kept", setup.shape, setup.kept);
    if (setup.absmax) o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  result.call = [setup](Context& ctx, const Operands& o) {
    if (!setup.add) {
      RmsNorm(ctx, {.x = o["x"], .weight = o["weight"], .y = o["y"], .rstd = o["rstd"], .eps = setup.eps});
      return;
    }
    AddRmsNormArgs args = {.x = o["x"],
                           .branch = o["branch"],
                           .weight = o["weight"],
                           .y = o[setup.y()],
                           .rstd = o["rstd"],
                           .eps = setup.eps};
    if (setup.keeps()) args.kept = o.Quantized("kept", setup.kept);
    if (setup.absmax) args.absmax = o["absmax"];
    AddRmsNorm(ctx, args);
  };
  result.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t row = 0; row < setup.shape[0]; ++row) CheckRow(setup, before, after, row, checker);
    checker.Same("weight", after["weight"], before["weight"]);
    if (setup.absmax) {
      const double absmax = AbsMaxOf(ValuesOf(after[setup.y()]), setup.shape[0], setup.shape[1]);
      checker.Near("absmax", 0, ValueAt(after["absmax"], 0), absmax, 0.0);
    }
    if (!setup.keeps()) return;
    CheckQuantized("kept", ValuesOf(before["branch"]), 0.0, after.Quantized("kept", setup.kept), checker);
    // The fused op and Quantize give the same bytes.
    Operands own;
    const QuantizedView kept = own.QuantizedOutput("kept", setup.shape, setup.kept);
    Context ctx(DeviceKind::kCpu, 1);
    Quantize(ctx, {.x = before["branch"], .y = kept});
    checker.Same("kept", after["kept"], kept.codes);
    checker.Same("kept.scales", after["kept.scales"], kept.scales);
  };
  return result;
}

void AddKeepingCases(DType dtype, std::vector<OpCase>& cases) {
  const auto add = [&](Shape shape, DType format, int group, Data data, RowSpecial special) {
    cases.push_back(Case({.shape = shape,
                          .dtype = dtype,
                          .add = true,
                          .in_place = true,
                          .absmax = true,
                          .kept = Format::PerGroup(format, group),
                          .data = data,
                          .special = special}));
  };
  // Widths of one warp and of many, in full and in part, and one that is not held in registers.
  const Shape shapes[] = {{1, 16},   {0, 16},   {19, 48},  {33, 272},  {7, 528},   {3, 1040},
                          {5, 2048}, {3, 4000}, {2, 8192}, {3, 12000}, {40000, 16}};
  for (const Shape& shape : shapes) add(shape, DType::kE4M3, 16, Data::kNormal, RowSpecial::kNone);
  for (const int group : {32, 64, 128}) {
    add({7, 384}, DType::kE4M3, group, Data::kHeavyTails, RowSpecial::kNone);
    add({3, 8320}, DType::kE5M2, group, Data::kHeavyTails, RowSpecial::kNone);
  }
  for (const DType format : {DType::kE4M3, DType::kE5M2}) {
    for (const Data data : {Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
      add({19, 144}, format, 16, data, RowSpecial::kNone);
    }
    for (const RowSpecial special :
         {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
      add({19, 144}, format, 16, Data::kNormal, special);
    }
  }
}

}  // namespace

std::vector<OpCase> RmsNormCases() {
  std::vector<OpCase> cases;
  for (const DType dtype : kPlain) {
    for (const bool add : {false, true}) {
      for (const Shape& shape : kLayerNormShapes) {
        cases.push_back(Case({.shape = shape, .dtype = dtype, .add = add, .absmax = add}));
      }
      for (const Data data :
           {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge, Data::kIntegers}) {
        cases.push_back(Case({.shape = {19, 133}, .dtype = dtype, .add = add, .in_place = add, .data = data}));
      }
      for (const RowSpecial special :
           {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
        cases.push_back(Case({.shape = {19, 133}, .dtype = dtype, .add = add, .absmax = add, .special = special}));
        cases.push_back(Case({.shape = {19, 136}, .dtype = dtype, .add = add, .absmax = add, .special = special}));
      }
      cases.push_back(Case({.shape = {7, 50}, .dtype = dtype, .add = add, .in_place = add, .eps = 0.25f}));
      cases.push_back(Case({.shape = kManyRows, .dtype = dtype, .add = add}));
    }
    AddKeepingCases(dtype, cases);
    OpCase large = Case({.shape = {2048, 256},
                         .dtype = dtype,
                         .add = true,
                         .in_place = true,
                         .absmax = true,
                         .kept = Format::PerGroup(DType::kE4M3, 16)});
    large.bytes = 2048.0 * 256.0 * (3.0 * static_cast<double>(SizeOf(dtype)) + 1.125);
    cases.push_back(std::move(large));
  }
  return cases;
}

}  // namespace coat
