#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "numerics/activation.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/cases/swiglu_reference.h"
#include "ops/quantize.h"
#include "ops/swiglu.h"

namespace coat {

namespace {

constexpr Data kAllData[] = {Data::kNormal, Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups,
                             Data::kTiny,   Data::kHuge,       Data::kIntegers};

enum class Special { kNone, kLargestLast, kNaN, kInfinity };

struct Setup {
  std::int64_t rows = 0, width = 0;  // N, F
  DType dtype = DType::kBF16;        // of up_gate, or of d_product
  Format saved = Format::PerGroup(DType::kE4M3, 16);
  DType product = DType::kE4M3;
  DType gradient = DType::kE5M2;    // of d_up_gate
  DType gradient_t = DType::kE5M2;  // of d_up_gate_t
  Data data = Data::kNormal;
  Special special = Special::kNone;

  Shape Half() const { return {rows, width}; }
  Shape Full() const { return {rows, 2 * width}; }
  std::string Name() const {
    constexpr std::string_view kSpecials[] = {"", ",largest_last", ",nan", ",infinity"};
    return fmt::format("{},saved={},product={}/t,N={},F={},{}{}", NameOf(dtype), saved.ToString(), NameOf(product),
                       rows, width, NameOf(data), kSpecials[static_cast<int>(special)]);
  }
};

bool IsFinite(Special special) {
  return special == Special::kNone || special == Special::kLargestLast;
}

/// Makes the last elements of both halves of the last row the largest, or one element of the first half of a row and
/// one of the second half of another not finite.
void Plant(Special special, TensorView x) {
  if (special == Special::kLargestLast) {
    SetValue(x, x.elements() - 1, 1e6);
    SetValue(x, x.elements() - 1 - x.shape()[1] / 2, 1e6);
  }
  if (IsFinite(special)) return;
  const double value =
      special == Special::kNaN ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  SetValue(x, 1, value);
  SetValue(x, x.elements() - 2, value);
}

/// x in float32, which is exact.
TensorView InFloat(ConstTensorView x, std::string_view name, Operands& own) {
  const TensorView y = own.Output(name, x.shape(), DType::kF32);
  for (std::int64_t i = 0; i < x.elements(); ++i) y.As<float>()[i] = static_cast<float>(ValueAt(x, i));
  return y;
}

OpCase ForwardCase(const Setup& setup) {
  const Format product_format = Format::PerTensor(setup.product);
  OpCase result;
  result.name = "SwigluQuantizeForward/" + setup.Name();
  result.make = [=](std::uint64_t seed) {
    Operands o;
    Plant(setup.special, o.Input("up_gate", setup.Full(), setup.dtype, seed, setup.data));
    o.QuantizedOutput("saved_up_gate", setup.Full(), setup.saved);
    o.QuantizedOutput("product", setup.Half(), product_format);
    o.Output("absmax", {1}, DType::kF32);
    return o;
  };
  result.call = [=](Context& ctx, const Operands& o) {
    SwigluQuantizeForward(ctx, {.up_gate = o["up_gate"],
                                .saved_up_gate = o.Quantized("saved_up_gate", setup.saved),
                                .product = o.Quantized("product", product_format),
                                .absmax = o["absmax"]});
  };
  result.check = [=](const Operands&, const Operands& after, Checker& checker) {
    // The parts: the saved codes, the product in float32, its absmax, its codes.
    Operands own;
    Context ctx(DeviceKind::kCpu, 1);
    const QuantizedView saved = own.QuantizedOutput("saved_up_gate", setup.Full(), setup.saved);
    Quantize(ctx, {.x = after["up_gate"], .y = saved});
    const TensorView product = own.Output("product in float", setup.Half(), DType::kF32);
    SwigluForward(ctx, {.up_gate = InFloat(after["up_gate"], "up_gate in float", own), .product = product});
    const TensorView absmax = own.Output("absmax", {1}, DType::kF32);
    AbsMax(ctx, {.x = product, .absmax = absmax});
    const QuantizedView codes = own.QuantizedOutput("product", setup.Half(), product_format);
    Quantize(ctx, {.x = product, .absmax = absmax, .y = codes});
    for (const char* name : {"saved_up_gate", "saved_up_gate.scales", "absmax", "product", "product.scales"}) {
      checker.Same(name, after[name], own[name]);
    }
    checker.True("absmax shows what is not finite",
                 IsFinite(setup.special) || !std::isfinite(ValueAt(after["absmax"], 0)));
  };
  result.bitwise = true;
  return result;
}

/// Up, gate and d_product of SwigluQuantizeBackward as float32.
struct BackwardInputs {
  TensorView up_gate, d_product;
};

BackwardInputs DecodedInputs(const Setup& setup, const Operands& after, Operands& own) {
  Context ctx(DeviceKind::kCpu, 1);
  const TensorView up_gate = own.Output("up_gate in float", setup.Full(), DType::kF32);
  Dequantize(ctx, {.x = after.Quantized("up_gate", setup.saved), .y = up_gate});
  return {up_gate, InFloat(after["d_product"], "d_product in float", own)};
}

/// The fused op's outputs made from its parts: decoded inputs, the scalar formula, absmax, codes.
void ComposeBackward(const Setup& setup, const BackwardInputs& inputs, Operands& own) {
  const TensorView gradient = own.Output("d_up_gate in float", setup.Full(), DType::kF32);
  const TensorView product = own.Output("product in float", setup.Half(), DType::kF32);
  for (std::int64_t i = 0; i < setup.rows * setup.width; ++i) {
    const std::int64_t up = i / setup.width * 2 * setup.width + i % setup.width;
    const float* up_gate = inputs.up_gate.As<float>();
    const SwigluGradient g =
        SwigluBackwardElement(up_gate[up], up_gate[up + setup.width], inputs.d_product.As<float>()[i]);
    gradient.As<float>()[up] = g.d_up;
    gradient.As<float>()[up + setup.width] = g.d_gate;
    product.As<float>()[i] = g.product;
  }
  Context ctx(DeviceKind::kCpu, 1);
  const TensorView absmax = own.Output("absmax", {2}, DType::kF32);
  AbsMax(ctx, {.x = gradient, .absmax = absmax.Rows(0, 1)});
  AbsMax(ctx, {.x = product, .absmax = absmax.Rows(1, 1)});
  Quantize(ctx, {.x = gradient,
                 .absmax = absmax.Rows(0, 1),
                 .y = own.QuantizedOutput("d_up_gate", setup.Full(), Format::PerTensor(setup.gradient)),
                 .y_t = own.QuantizedOutput("d_up_gate_t", {2 * setup.width, setup.rows},
                                            Format::PerTensor(setup.gradient_t))});
  Quantize(ctx, {.x = product,
                 .absmax = absmax.Rows(1, 1),
                 .y_t = own.QuantizedOutput("product_t", {setup.width, setup.rows}, Format::PerTensor(setup.product))});
}

/// A decoded code is off by the float32 error of its value and by one rounding to its format.
void CheckDecoded(std::string_view what, std::int64_t index, const ConstQuantizedView& x, std::int64_t row,
                  std::int64_t column, const Bounded& value, Checker& checker) {
  const double scale = ValueAt(x.scales, 0);
  const double largest = (std::abs(value.exact) + value.bound) * (1.0 + 4.0 * kFloatRoundoff);
  const double step = scale * HalfUlp(x.format.dtype, largest / scale) * (1.0 + 4.0 * kFloatRoundoff);
  checker.Near(what, index, ValueAt(x, row, column), value.exact, value.bound + step + 4.0 * kFloatRoundoff * largest);
}

void CheckBackwardAgainstDerivative(const Setup& setup, const BackwardInputs& inputs, const Operands& after,
                                    Checker& checker) {
  const QuantizedView gradient = after.Quantized("d_up_gate", Format::PerTensor(setup.gradient));
  const QuantizedView gradient_t = after.Quantized("d_up_gate_t", Format::PerTensor(setup.gradient_t));
  const QuantizedView product_t = after.Quantized("product_t", Format::PerTensor(setup.product));
  for (std::int64_t row = 0; row < setup.rows; ++row) {
    for (std::int64_t column = 0; column < setup.width; ++column) {
      const std::int64_t i = row * setup.width + column;
      const std::int64_t up = row * 2 * setup.width + column;
      const std::int64_t gate_column = setup.width + column;
      const ExactSwiglu exact = ExactSwigluOf(ValueAt(inputs.up_gate, up), ValueAt(inputs.up_gate, up + setup.width),
                                              ValueAt(inputs.d_product, i));
      CheckDecoded("d_up", i, gradient, row, column, exact.d_up, checker);
      CheckDecoded("d_gate", i, gradient, row, gate_column, exact.d_gate, checker);
      CheckDecoded("d_up_t", i, gradient_t, column, row, exact.d_up, checker);
      CheckDecoded("d_gate_t", i, gradient_t, gate_column, row, exact.d_gate, checker);
      CheckDecoded("product_t", i, product_t, column, row, exact.product, checker);
    }
  }
}

OpCase BackwardCase(const Setup& setup) {
  OpCase result;
  result.name = fmt::format("SwigluQuantizeBackward/{},d={},d_t={}", setup.Name(), NameOf(setup.gradient),
                            NameOf(setup.gradient_t));
  result.make = [=](std::uint64_t seed) {
    Operands o;
    const QuantizedView up_gate = o.QuantizedInput("up_gate", setup.Full(), setup.saved, seed, setup.data);
    if (setup.special == Special::kLargestLast) {
      // The largest codes under scales of 1e4 or so, exact in bf16.
      const std::int64_t last = setup.Full().elements() - 1;
      for (const std::int64_t i : {last, last - setup.width}) {
        up_gate.codes.As<std::uint8_t>()[i] = 0x76;
        SetValue(up_gate.scales, i / setup.saved.group, 8192.0);
      }
    }
    Plant(setup.special, o.Input("d_product", setup.Half(), setup.dtype, seed));
    o.QuantizedOutput("d_up_gate", setup.Full(), Format::PerTensor(setup.gradient));
    o.QuantizedOutput("d_up_gate_t", {2 * setup.width, setup.rows}, Format::PerTensor(setup.gradient_t));
    o.QuantizedOutput("product_t", {setup.width, setup.rows}, Format::PerTensor(setup.product));
    o.Output("absmax", {2}, DType::kF32);
    return o;
  };
  result.call = [=](Context& ctx, const Operands& o) {
    SwigluQuantizeBackward(ctx, {.up_gate = o.Quantized("up_gate", setup.saved),
                                 .d_product = o["d_product"],
                                 .d_up_gate = o.Quantized("d_up_gate", Format::PerTensor(setup.gradient)),
                                 .d_up_gate_t = o.Quantized("d_up_gate_t", Format::PerTensor(setup.gradient_t)),
                                 .product_t = o.Quantized("product_t", Format::PerTensor(setup.product)),
                                 .absmax = o["absmax"]});
  };
  result.check = [=](const Operands&, const Operands& after, Checker& checker) {
    Operands own;
    const BackwardInputs inputs = DecodedInputs(setup, after, own);
    ComposeBackward(setup, inputs, own);
    for (const char* name : {"absmax", "d_up_gate", "d_up_gate.scales", "d_up_gate_t", "d_up_gate_t.scales",
                             "product_t", "product_t.scales"}) {
      checker.Same(name, after[name], own[name]);
    }
    const bool finite = std::isfinite(ValueAt(after["absmax"], 0)) && std::isfinite(ValueAt(after["absmax"], 1));
    checker.True("absmax shows what is not finite, and only that",
                 finite == (IsFinite(setup.special) && setup.data != Data::kHuge));
    if (finite) CheckBackwardAgainstDerivative(setup, inputs, after, checker);
  };
  result.bitwise = true;
  return result;
}

/// Every group size and pair of formats, sizes around the tiles of 64 and the 8 rows of a task, every kind of data.
std::vector<Setup> Setups() {
  std::vector<Setup> setups;
  for (const int group : {16, 32, 64, 128}) {
    for (const DType saved : {DType::kE4M3, DType::kE5M2}) {
      for (const DType product : {DType::kE4M3, DType::kE5M2}) {
        setups.push_back({.rows = 9, .width = 3 * group, .saved = Format::PerGroup(saved, group), .product = product});
      }
    }
  }
  constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 16},  {7, 48},   {8, 64},   {63, 80},
                                                               {65, 64}, {64, 144}, {129, 16}, {200, 48}};
  for (const auto& [rows, width] : kShapes) {
    setups.push_back({.rows = rows, .width = width});
    setups.push_back({.rows = rows, .width = width, .dtype = DType::kF32});
  }
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const Data data : kAllData) setups.push_back({.rows = 19, .width = 96, .dtype = dtype, .data = data});
    for (const Special special : {Special::kLargestLast, Special::kNaN, Special::kInfinity}) {
      setups.push_back({.rows = 19, .width = 96, .dtype = dtype, .special = special});
    }
  }
  return setups;
}

}  // namespace

std::vector<OpCase> SwigluQuantizeCases() {
  std::vector<OpCase> cases;
  for (const Setup& setup : Setups()) {
    cases.push_back(ForwardCase(setup));
    cases.push_back(BackwardCase(setup));
  }
  for (const DType gradient : {DType::kE4M3, DType::kE5M2}) {
    for (const DType gradient_t : {DType::kE4M3, DType::kE5M2}) {
      cases.push_back(BackwardCase({.rows = 67, .width = 112, .gradient = gradient, .gradient_t = gradient_t}));
    }
  }
  // More tiles than blocks of a GPU, which take several in turn.
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    cases.push_back(ForwardCase({.rows = 6401, .width = 1040, .dtype = dtype}));
    cases.push_back(BackwardCase({.rows = 4112, .width = 1040, .dtype = dtype}));
  }
  constexpr double kElements = 2048.0 * 1024.0;
  const Setup large = {.rows = 2048, .width = 1024};
  cases.push_back(ForwardCase(large));
  cases.back().bytes = kElements * (4.0 + 2.0 * (1.0 + 2.0 / 16.0) + 1.0);
  cases.push_back(BackwardCase(large));
  cases.back().bytes = kElements * (2.0 * (1.0 + 2.0 / 16.0) + 2.0 + 2.0 + 2.0 + 1.0);
  return cases;
}

}  // namespace coat
