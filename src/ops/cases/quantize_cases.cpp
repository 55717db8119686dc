#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/quantize.h"

namespace coat {

namespace {

constexpr Data kAllData[] = {Data::kNormal, Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups,
                             Data::kTiny,   Data::kHuge,       Data::kIntegers};
constexpr DType kFp8[] = {DType::kE4M3, DType::kE5M2};
constexpr DType kPlain[] = {DType::kF32, DType::kBF16};

std::string NameOf(const Shape& shape) {
  return fmt::format("N={},F={}", shape[0], shape[1]);
}

/// What is put into some elements after the data.
enum class Special { kNone, kLargestLast, kNaN, kInfinity, kAllZero, kNegativeZero };

std::string_view NameOf(Special special) {
  constexpr std::string_view kNames[] = {"", ",largest_last", ",nan", ",infinity", ",all_zero", ",negative_zero"};
  return kNames[static_cast<int>(special)];
}

void Plant(Special special, TensorView x) {
  const std::int64_t last = x.elements() - 1;
  switch (special) {
    case Special::kNone:
      return;
    case Special::kLargestLast:
      SetValue(x, last, -0x1p60);
      return;
    case Special::kNaN:
      SetValue(x, last, std::numeric_limits<double>::quiet_NaN());
      SetValue(x, last / 2, -std::numeric_limits<double>::quiet_NaN());
      return;
    case Special::kInfinity:
      SetValue(x, last, -std::numeric_limits<double>::infinity());
      return;
    case Special::kAllZero:
      for (std::int64_t i = 0; i <= last; ++i) SetValue(x, i, 0.0);
      return;
    case Special::kNegativeZero:
      for (std::int64_t i = 0; i <= last; ++i) SetValue(x, i, -0.0);
      return;
  }
}

// AbsMax ----------------------------------------------------------------------------------------------------------

OpCase AbsMaxCase(Shape shape, DType dtype, Data data, Special special) {
  OpCase result;
  result.name = fmt::format("AbsMax/{},{},{}{}", NameOf(dtype), shape.ToString(), NameOf(data), NameOf(special));
  result.make = [=](std::uint64_t seed) {
    Operands operands;
    Plant(special, operands.Input("x", shape, dtype, seed, data));
    operands.Output("absmax", {1}, DType::kF32);
    return operands;
  };
  result.call = [](Context& ctx, const Operands& o) { AbsMax(ctx, {.x = o["x"], .absmax = o["absmax"]}); };
  result.check = [](const Operands&, const Operands& after, Checker& checker) {
    const TensorView x = after["x"].Reshaped({1, after["x"].elements()});
    const double absmax = AbsMaxOf(ValuesOf(x), 1, x.elements());
    checker.Near("absmax", 0, ValueAt(after["absmax"], 0), absmax, 0.0);
    checker.True("absmax of zeros is +0", absmax != 0.0 || !std::signbit(ValueAt(after["absmax"], 0)));
  };
  result.bitwise = true;
  return result;
}

void AddAbsMaxCases(std::vector<OpCase>& cases) {
  // Around the widths of vectors and the grain of the parallel blocks, and every rank.
  for (const std::int64_t count : {0, 1, 15, 16, 17, 33, 32767, 32768, 32769, 100003}) {
    cases.push_back(AbsMaxCase({count}, DType::kF32, Data::kNormal, Special::kNone));
    cases.push_back(AbsMaxCase({count}, DType::kBF16, Data::kHeavyTails, Special::kNone));
    if (count > 0) cases.push_back(AbsMaxCase({count}, DType::kF32, Data::kNormal, Special::kLargestLast));
  }
  cases.push_back(AbsMaxCase({3, 5, 7}, DType::kF32, Data::kNormal, Special::kNone));
  cases.push_back(AbsMaxCase({2, 3, 5, 7}, DType::kBF16, Data::kNormal, Special::kNone));
  for (const DType dtype : kPlain) {
    for (const Data data : kAllData) cases.push_back(AbsMaxCase({37, 131}, dtype, data, Special::kNone));
    for (const Special special : {Special::kNaN, Special::kInfinity, Special::kAllZero, Special::kNegativeZero}) {
      cases.push_back(AbsMaxCase({37, 131}, dtype, Data::kHuge, special));
    }
    OpCase large = AbsMaxCase({2048, 1024}, dtype, Data::kNormal, Special::kNone);
    large.bytes = 2048.0 * 1024.0 * static_cast<double>(SizeOf(dtype));
    cases.push_back(std::move(large));
  }
}

// Quantize --------------------------------------------------------------------------------------------------------

struct QuantizeSetup {
  Shape shape;
  DType dtype = DType::kF32;
  Format y = {};    // Scaling::kNone: not wanted
  Format y_t = {};  // likewise
  Data data = Data::kNormal;
  Special special = Special::kNone;
  double absmax_factor = 1.0;  // the /t formats are given this many times the largest magnitude

  bool HasY() const { return y.scaling != Scaling::kNone; }
  bool HasTransposed() const { return y_t.scaling != Scaling::kNone; }
  bool PerTensor() const { return y.scaling == Scaling::kTensor || y_t.scaling == Scaling::kTensor; }
  std::string Name() const {
    std::string name = fmt::format("Quantize/{}", NameOf(dtype));
    if (HasY()) name += fmt::format(",y={}", y.ToString());
    if (HasTransposed()) name += fmt::format(",y_t={}", y_t.ToString());
    name += fmt::format(",{},{}{}", NameOf(shape), NameOf(data), NameOf(special));
    if (absmax_factor != 1.0) name += fmt::format(",absmax_times={}", absmax_factor);
    return name;
  }
};

Operands MakeQuantizeOperands(const QuantizeSetup& setup, std::uint64_t seed) {
  Operands operands;
  const TensorView x = operands.Input("x", setup.shape, setup.dtype, seed, setup.data);
  Plant(setup.special, x);
  if (setup.PerTensor()) {
    const double absmax = AbsMaxOf(ValuesOf(x), setup.shape[0], setup.shape[1]);
    *operands.Input("absmax", {1}, DType::kF32, seed).As<float>() = static_cast<float>(absmax * setup.absmax_factor);
  }
  if (setup.HasY()) operands.QuantizedOutput("y", setup.shape, setup.y);
  if (setup.HasTransposed()) operands.QuantizedOutput("y_t", {setup.shape[1], setup.shape[0]}, setup.y_t);
  return operands;
}

OpCase QuantizeCase(const QuantizeSetup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) { return MakeQuantizeOperands(setup, seed); };
  result.call = [setup](Context& ctx, const Operands& o) {
    QuantizeArgs args = {.x = o["x"]};
    if (setup.PerTensor()) args.absmax = o["absmax"];
    if (setup.HasY()) args.y = o.Quantized("y", setup.y);
    if (setup.HasTransposed()) args.y_t = o.Quantized("y_t", setup.y_t);
    Quantize(ctx, args);
  };
  result.check = [setup](const Operands&, const Operands& after, Checker& checker) {
    const MatrixValues x = ValuesOf(after["x"]);
    const double absmax = setup.PerTensor() ? ValueAt(after["absmax"], 0) : 0.0;
    if (setup.HasY()) CheckQuantized("y", x, absmax, after.Quantized("y", setup.y), checker);
    if (setup.HasTransposed()) {
      CheckQuantized("y_t", Transposed(x), absmax, after.Quantized("y_t", setup.y_t), checker);
    }
    // What is not finite must not look finite when the codes are read back.
    for (std::int64_t i = 0; i < after["x"].elements() && setup.absmax_factor == 1.0; ++i) {
      if (std::isfinite(ValueAt(after["x"], i))) continue;
      const std::int64_t row = i / setup.shape[1];
      const std::int64_t column = i % setup.shape[1];
      checker.True("y shows what is not finite",
                   !setup.HasY() || !std::isfinite(ValueAt(after.Quantized("y", setup.y), row, column)));
      checker.True("y_t shows what is not finite",
                   !setup.HasTransposed() || !std::isfinite(ValueAt(after.Quantized("y_t", setup.y_t), column, row)));
    }
  };
  result.bitwise = true;
  return result;
}

/// Every format of the contract.
std::vector<Format> AllFormats(DType dtype) {
  std::vector<Format> formats = {Format::PerTensor(dtype), Format::PerBlock128(dtype)};
  for (const int group : {16, 32, 64, 128}) {
    for (const DType scale : {DType::kBF16, DType::kF32}) formats.push_back(Format::PerGroup(dtype, group, scale));
  }
  return formats;
}

/// The smallest shapes that `format` takes for y (`transposed`: for y_t), from one unit to several and a bit.
std::vector<Shape> ShapesFor(const Format& format, bool transposed) {
  std::vector<Shape> shapes;
  switch (format.scaling) {
    case Scaling::kBlock128:
      shapes = {{128, 128}, {256, 384}};
      break;
    case Scaling::kGroup:
      // Along the other axis: one row, and one less, as many and one more than the columns done at a time.
      for (const std::int64_t rows : {1, 31, 33}) shapes.push_back({rows, 3 * format.group});
      break;
    default:
      shapes = {{1, 1}, {1, 130}, {7, 13}, {63, 65}, {64, 64}, {65, 63}, {131, 9}, {0, 5}, {5, 0}};
  }
  if (transposed) {
    for (Shape& shape : shapes) shape = {shape[1], shape[0]};
  }
  return shapes;
}

/// A shape in which groups of every size and blocks divide both axes.
constexpr std::int64_t kRows = 128;
constexpr std::int64_t kColumns = 256;

void AddQuantizeCases(const Format& format, std::vector<OpCase>& cases) {
  for (const Shape& shape : ShapesFor(format, false)) {
    cases.push_back(QuantizeCase({.shape = shape, .dtype = DType::kF32, .y = format}));
    cases.push_back(QuantizeCase({.shape = shape, .dtype = DType::kBF16, .y = format}));
  }
  for (const Shape& shape : ShapesFor(format, true)) {
    cases.push_back(QuantizeCase({.shape = shape, .dtype = DType::kF32, .y_t = format}));
    cases.push_back(QuantizeCase({.shape = shape, .dtype = DType::kBF16, .y_t = format}));
  }
  const Shape both = {kRows, kColumns};
  for (const DType dtype : kPlain) {
    for (const Data data : kAllData) {
      cases.push_back(QuantizeCase({.shape = both, .dtype = dtype, .y = format, .y_t = format, .data = data}));
    }
    for (const Special special : {Special::kNaN, Special::kInfinity, Special::kAllZero, Special::kNegativeZero}) {
      cases.push_back(QuantizeCase({.shape = both, .dtype = dtype, .y = format, .y_t = format, .special = special}));
    }
  }
}

/// Outputs that differ in format, absmax of another tensor, and sizes worth timing.
void AddMixedQuantizeCases(std::vector<OpCase>& cases) {
  const Format e4m3 = Format::PerTensor(DType::kE4M3);
  const Format e5m2 = Format::PerTensor(DType::kE5M2);
  const Format group = Format::PerGroup(DType::kE4M3, 16);
  const Format wide_group = Format::PerGroup(DType::kE4M3, 128, DType::kF32);
  const Format block = Format::PerBlock128(DType::kE4M3);
  for (const auto& [y, y_t] : std::vector<std::pair<Format, Format>>{
           {e4m3, e5m2}, {e5m2, e4m3}, {group, e5m2}, {e4m3, wide_group}, {wide_group, block}, {block, group}}) {
    cases.push_back(QuantizeCase({.shape = {kRows, kColumns}, .y = y, .y_t = y_t, .data = Data::kHeavyTails}));
    cases.push_back(QuantizeCase({.shape = {kRows, kColumns}, .dtype = DType::kBF16, .y = y, .y_t = y_t}));
  }
  cases.push_back(QuantizeCase({.shape = {67, 70}, .y = e4m3, .y_t = e5m2}));
  for (const double factor : {0.25, 3.0}) {
    cases.push_back(QuantizeCase({.shape = {67, 70}, .y = e4m3, .y_t = e4m3, .absmax_factor = factor}));
    cases.push_back(QuantizeCase({.shape = {67, 70}, .dtype = DType::kBF16, .y = e5m2, .absmax_factor = factor}));
  }
  // Under the scale of a finite tensor infinities saturate, and NaN stays NaN.
  const Special specials[] = {Special::kNaN, Special::kInfinity};
  for (const Special special : specials) {
    for (const Format& format : {e4m3, e5m2}) {
      OpCase result =
          QuantizeCase({.shape = {9, 33}, .y = format, .y_t = format, .special = special, .absmax_factor = 2.0});
      result.make = [make = result.make](std::uint64_t seed) {
        Operands operands = make(seed);
        *operands["absmax"].As<float>() = 3.0f;
        return operands;
      };
      cases.push_back(std::move(result));
    }
  }
  constexpr double kElements = 2048.0 * 1024.0;
  const QuantizeSetup large[] = {
      {.shape = {2048, 1024}, .dtype = DType::kBF16, .y = e4m3},
      {.shape = {2048, 1024}, .dtype = DType::kBF16, .y = e5m2, .y_t = e5m2},
      {.shape = {2048, 1024}, .dtype = DType::kF32, .y = e4m3, .y_t = e4m3},
      {.shape = {2048, 1024}, .dtype = DType::kBF16, .y = group},
      {.shape = {2048, 1024}, .dtype = DType::kBF16, .y = wide_group, .y_t = wide_group},
      {.shape = {2048, 1024}, .dtype = DType::kF32, .y = block, .y_t = block},
  };
  for (const QuantizeSetup& setup : large) {
    OpCase result = QuantizeCase(setup);
    result.bytes =
        kElements * static_cast<double>(SizeOf(setup.dtype) + (setup.HasY() ? 1 : 0) + (setup.HasTransposed() ? 1 : 0));
    cases.push_back(std::move(result));
  }
}

// Dequantize ------------------------------------------------------------------------------------------------------

/// `every_code`: the codes run through all 256, special ones included, instead of encoding `data`.
OpCase DequantizeCase(Shape shape, Format format, DType dtype, Data data, bool every_code) {
  OpCase result;
  result.name = fmt::format("Dequantize/{},{},{},{}", format.ToString(), NameOf(dtype), NameOf(shape),
                            every_code ? "every_code" : NameOf(data));
  result.make = [=](std::uint64_t seed) {
    Operands operands;
    const QuantizedView x = operands.QuantizedInput("x", shape, format, seed, data);
    for (std::int64_t i = 0; every_code && i < shape.elements(); ++i) {
      x.codes.As<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
    }
    operands.Output("y", shape, dtype);
    return operands;
  };
  result.call = [format](Context& ctx, const Operands& o) {
    Dequantize(ctx, {.x = o.Quantized("x", format), .y = o["y"]});
  };
  result.check = [=](const Operands&, const Operands& after, Checker& checker) {
    const QuantizedView x = after.Quantized("x", format);
    const std::int64_t width = shape[1];
    const std::int64_t columns = format.scaling == Scaling::kTensor  ? width
                                 : format.scaling == Scaling::kGroup ? format.group
                                                                     : 128;
    const std::int64_t rows = format.scaling == Scaling::kTensor  ? shape[0]
                              : format.scaling == Scaling::kGroup ? 1
                                                                  : 128;
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      const std::int64_t scale = i / width / rows * (width / columns) + i % width / columns;
      const double code = ExactFp8(format.dtype, x.codes.As<std::uint8_t>()[i]);
      const double product = RoundedTo(DType::kF32, code * ValueAt(x.scales, scale));
      checker.Near("y", i, ValueAt(after["y"], i), RoundedTo(dtype, product), 0.0);
    }
  };
  result.bitwise = true;
  return result;
}

void AddDequantizeCases(const Format& format, std::vector<OpCase>& cases) {
  for (const DType dtype : kPlain) {
    for (const Shape& shape : ShapesFor(format, false)) {
      if (shape.elements() > 0) cases.push_back(DequantizeCase(shape, format, dtype, Data::kHeavyTails, false));
    }
    for (const Data data : {Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge}) {
      cases.push_back(DequantizeCase({kRows, kColumns}, format, dtype, data, false));
    }
    cases.push_back(DequantizeCase({kRows, kColumns}, format, dtype, Data::kNormal, true));
  }
}

void AddLargeDequantizeCases(std::vector<OpCase>& cases) {
  for (const Format& format : {Format::PerTensor(DType::kE4M3), Format::PerGroup(DType::kE4M3, 16)}) {
    OpCase large = DequantizeCase({2048, 1024}, format, DType::kBF16, Data::kNormal, false);
    large.bytes = 2048.0 * 1024.0 * 3.0;
    cases.push_back(std::move(large));
  }
}

// TransposeCodes --------------------------------------------------------------------------------------------------

OpCase TransposeCase(Shape shape, DType dtype) {
  OpCase result;
  result.name = fmt::format("TransposeCodes/{},{}", NameOf(dtype), NameOf(shape));
  result.make = [=](std::uint64_t seed) {
    Operands operands;
    const TensorView x = operands.Input("x", shape, dtype, seed);
    // Codes that are not finite travel like any other.
    if (x.elements() > 0) x.As<std::uint8_t>()[x.elements() / 2] = 0xff;
    operands.Output("y", {shape[1], shape[0]}, dtype);
    return operands;
  };
  result.call = [](Context& ctx, const Operands& o) { TransposeCodes(ctx, {.x = o["x"], .y = o["y"]}); };
  result.check = [=](const Operands&, const Operands& after, Checker& checker) {
    const auto* x = after["x"].As<std::uint8_t>();
    const auto* y = after["y"].As<std::uint8_t>();
    for (std::int64_t row = 0; row < shape[0]; ++row) {
      for (std::int64_t column = 0; column < shape[1]; ++column) {
        checker.Near("y", column * shape[0] + row, y[column * shape[0] + row], x[row * shape[1] + column], 0.0);
      }
    }
  };
  result.bitwise = true;
  return result;
}

void AddTransposeCases(std::vector<OpCase>& cases) {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 77}, Shape{77, 1}, Shape{7, 9}, Shape{8, 8}, Shape{15, 17},
                             Shape{63, 64}, Shape{64, 65}, Shape{129, 127}, Shape{200, 72}}) {
    for (const DType dtype : kFp8) cases.push_back(TransposeCase(shape, dtype));
  }
  OpCase large = TransposeCase({2048, 1024}, DType::kE4M3);
  large.bytes = 2048.0 * 1024.0 * 2.0;
  cases.push_back(std::move(large));
}

}  // namespace

std::vector<OpCase> QuantizeCases() {
  std::vector<OpCase> cases;
  AddAbsMaxCases(cases);
  for (const DType dtype : kFp8) {
    for (const Format& format : AllFormats(dtype)) {
      AddQuantizeCases(format, cases);
      AddDequantizeCases(format, cases);
    }
  }
  AddMixedQuantizeCases(cases);
  AddLargeDequantizeCases(cases);
  AddTransposeCases(cases);
  return cases;
}

}  // namespace coat
