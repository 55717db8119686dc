#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/cases/swiglu_reference.h"
#include "ops/swiglu.h"

namespace coat {

namespace {

constexpr DType kPlain[] = {DType::kF32, DType::kBF16};
constexpr Data kAllData[] = {Data::kNormal, Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups,
                             Data::kTiny,   Data::kHuge,       Data::kIntegers};

enum class Special { kNone, kNaN, kInfinity };

struct Setup {
  std::int64_t rows = 0, width = 0;  // N, F
  DType dtype = DType::kF32;
  Data data = Data::kNormal;
  Special special = Special::kNone;

  Shape Half() const { return {rows, width}; }
  Shape Full() const { return {rows, 2 * width}; }
  std::string Name() const {
    constexpr std::string_view kSpecials[] = {"", ",nan", ",infinity"};
    return fmt::format("{},N={},F={},{}{}", NameOf(dtype), rows, width, NameOf(data),
                       kSpecials[static_cast<int>(special)]);
  }
};

void AddUpGate(const Setup& setup, Operands& o, std::uint64_t seed) {
  const TensorView up_gate = o.Input("up_gate", setup.Full(), setup.dtype, seed, setup.data);
  if (setup.special == Special::kNone) return;
  // One element of up, one of gate.
  const double value = setup.special == Special::kNaN ? std::numeric_limits<double>::quiet_NaN()
                                                      : -std::numeric_limits<double>::infinity();
  SetValue(up_gate, 1, value);
  SetValue(up_gate, 2 * setup.width + setup.width + 2, value);
}

/// What SwigluForward and SwigluBackward give for element [row, column], exactly.
ExactSwiglu ExactAt(const Setup& setup, const Operands& o, std::int64_t row, std::int64_t column) {
  const std::int64_t up = row * 2 * setup.width + column;
  const double d_product = o.Has("d_product") ? ValueAt(o["d_product"], row * setup.width + column) : 0.0;
  return ExactSwigluOf(ValueAt(o["up_gate"], up), ValueAt(o["up_gate"], up + setup.width), d_product);
}

/// `got` against an exact value that is rounded to `dtype` once more; values beyond the type become infinite.
void CheckValue(std::string_view what, std::int64_t index, DType dtype, double got, const Bounded& value,
                Checker& checker) {
  if (std::isnan(value.exact) || std::isnan(value.bound)) {
    checker.True("what is not finite shows", !std::isfinite(got));
    return;
  }
  const double last_rounding = dtype == DType::kBF16 ? HalfUlp(dtype, std::abs(value.exact) + value.bound) : 0.0;
  const double exact = std::isinf(RoundedTo(dtype, value.exact)) ? RoundedTo(dtype, value.exact) : value.exact;
  checker.Near(what, index, got, exact, value.bound + last_rounding);
}

OpCase ForwardCase(const Setup& setup) {
  OpCase result;
  result.name = "SwigluForward/" + setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    AddUpGate(setup, o, seed);
    o.Output("product", setup.Half(), setup.dtype);
    return o;
  };
  result.call = [](Context& ctx, const Operands& o) {
    SwigluForward(ctx, {.up_gate = o["up_gate"], .product = o["product"]});
  };
  result.check = [setup](const Operands&, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < setup.rows * setup.width; ++i) {
      const ExactSwiglu exact = ExactAt(setup, after, i / setup.width, i % setup.width);
      CheckValue("product", i, setup.dtype, ValueAt(after["product"], i), exact.product, checker);
    }
  };
  result.bitwise = true;
  return result;
}

OpCase BackwardCase(const Setup& setup) {
  OpCase result;
  result.name = "SwigluBackward/" + setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands o;
    AddUpGate(setup, o, seed);
    o.Input("d_product", setup.Half(), setup.dtype, seed);
    o.Output("d_up_gate", setup.Full(), setup.dtype);
    o.Output("product", setup.Half(), setup.dtype);
    return o;
  };
  result.call = [](Context& ctx, const Operands& o) {
    SwigluBackward(
        ctx,
        {.up_gate = o["up_gate"], .d_product = o["d_product"], .d_up_gate = o["d_up_gate"], .product = o["product"]});
  };
  result.check = [setup](const Operands&, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < setup.rows * setup.width; ++i) {
      const ExactSwiglu exact = ExactAt(setup, after, i / setup.width, i % setup.width);
      const std::int64_t up = i / setup.width * 2 * setup.width + i % setup.width;
      const std::int64_t gate = up + setup.width;
      CheckValue("product", i, setup.dtype, ValueAt(after["product"], i), exact.product, checker);
      CheckValue("d_up", up, setup.dtype, ValueAt(after["d_up_gate"], up), exact.d_up, checker);
      CheckValue("d_gate", gate, setup.dtype, ValueAt(after["d_up_gate"], gate), exact.d_gate, checker);
    }
    // The forward op gives the same values (which of two NaNs a sum or product keeps is the compiler's choice).
    Operands own;
    const TensorView product = own.Output("product", setup.Half(), setup.dtype);
    Context ctx(DeviceKind::kCpu, 1);
    SwigluForward(ctx, {.up_gate = after["up_gate"], .product = product});
    for (std::int64_t i = 0; i < product.elements(); ++i) {
      checker.Near("product of the forward op", i, ValueAt(after["product"], i), ValueAt(product, i), 0.0);
    }
  };
  result.bitwise = true;
  return result;
}

}  // namespace

std::vector<OpCase> SwigluCases() {
  std::vector<OpCase> cases;
  // One element, one row, and sizes around the widths of vectors and the 8 rows of a task.
  constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 1},  {1, 67}, {7, 15},  {8, 16},
                                                               {9, 17}, {33, 5}, {5, 131}, {3, 1024}};
  for (const DType dtype : kPlain) {
    std::vector<Setup> setups;
    for (const auto& [rows, width] : kShapes) setups.push_back({.rows = rows, .width = width, .dtype = dtype});
    for (const Data data : kAllData) setups.push_back({.rows = 19, .width = 93, .dtype = dtype, .data = data});
    for (const Special special : {Special::kNaN, Special::kInfinity}) {
      setups.push_back({.rows = 19, .width = 93, .dtype = dtype, .special = special});
    }
    for (const Setup& setup : setups) {
      cases.push_back(ForwardCase(setup));
      cases.push_back(BackwardCase(setup));
    }
    const Setup large = {.rows = 2048, .width = 1024, .dtype = dtype};
    const double elements = 2048.0 * 1024.0 * static_cast<double>(SizeOf(dtype));
    cases.push_back(ForwardCase(large));
    cases.back().bytes = 3.0 * elements;
    cases.push_back(BackwardCase(large));
    cases.back().bytes = 6.0 * elements;
  }
  return cases;
}

}  // namespace coat
