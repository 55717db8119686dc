#include "ops/statistics.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

/// What is put at element `at` of the input.
enum class Special : std::uint8_t { kNone, kNaN, kInfinity, kBoth };

struct InputShape {
  Shape shape;
  DType x = DType::kF32;
  Data data = Data::kNormal;
  Special special = Special::kNone;
  std::int64_t at = 0;
  bool perf = false;

  std::string Name() const {
    constexpr std::string_view kSpecials[] = {"", ",NaN", ",infinity", ",NaN and infinity"};
    return fmt::format("{},{},{}{}", shape.ToString(), NameOf(x), NameOf(data), kSpecials[static_cast<int>(special)]);
  }
};

void Put(TensorView x, std::int64_t i, float value) {
  if (x.dtype() == DType::kF32) x.As<float>()[i] = value;
  if (x.dtype() == DType::kBF16) x.As<BFloat16>()[i] = ToBFloat16(value);
}

void AddInput(Operands& operands, const std::string& name, const InputShape& shape, std::uint64_t seed) {
  const TensorView x = operands.Input(name, shape.shape, shape.x, seed, shape.data);
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (shape.special == Special::kNaN || shape.special == Special::kBoth) Put(x, shape.at, nan);
  if (shape.special == Special::kInfinity) Put(x, shape.at, -infinity);
  if (shape.special == Special::kBoth) Put(x, (shape.at + 1) % x.elements(), infinity);
}

struct Exact {
  double smallest = std::numeric_limits<double>::infinity();
  double largest = 0.0;
  double mean = 0.0;
  double mean_magnitude = 0.0;
  double norm = 0.0;
};

/// In long double; NaN in everything if any element is.
Exact ExactOf(ConstTensorView x) {
  Exact exact;
  long double sum = 0.0, magnitudes = 0.0, squares = 0.0;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const double value = ValueAt(x, i);
    sum += value;
    magnitudes += std::abs(value);
    squares += static_cast<long double>(value) * value;
    exact.smallest = std::min(exact.smallest, std::abs(value));
    exact.largest = std::max(exact.largest, std::abs(value));
  }
  const auto count = static_cast<long double>(x.elements());
  exact.mean = static_cast<double>(sum / count);
  exact.mean_magnitude = static_cast<double>(magnitudes / count);
  exact.norm = static_cast<double>(std::sqrt(squares));
  if (std::isnan(exact.norm)) exact.smallest = exact.largest = exact.norm;
  return exact;
}

/// The norms of tensors of these kinds, in one call.
OpCase NormsCase(const std::string& name, const std::vector<InputShape>& shapes) {
  OpCase op;
  op.name = "L2Norms/" + name;
  op.make = [shapes](std::uint64_t seed) {
    Operands operands;
    for (std::size_t t = 0; t < shapes.size(); ++t) AddInput(operands, fmt::format("x.{}", t), shapes[t], seed);
    operands.Output("norms", {static_cast<std::int64_t>(shapes.size())}, DType::kF32);
    return operands;
  };
  op.call = [count = shapes.size()](Context& ctx, const Operands& operands) {
    std::vector<ConstTensorView> tensors;
    for (std::size_t t = 0; t < count; ++t) tensors.push_back(operands[fmt::format("x.{}", t)]);
    L2Norms(ctx, {.tensors = tensors, .norms = operands["norms"]});
  };
  op.check = [count = shapes.size()](const Operands& before, const Operands& after, Checker& checker) {
    for (std::size_t t = 0; t < count; ++t) {
      const double exact = ExactOf(before[fmt::format("x.{}", t)]).norm;
      const auto index = static_cast<std::int64_t>(t);
      checker.Near("norm", index, ValueAt(after["norms"], index), exact, 2.0 * HalfUlp(DType::kF32, exact));
    }
  };
  for (const InputShape& shape : shapes) {
    if (shape.perf) op.bytes += static_cast<double>(shape.shape.elements() * SizeOf(shape.x));
  }
  return op;
}

OpCase StatisticsCase(const InputShape& shape) {
  OpCase op;
  op.name = "Statistics/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    AddInput(operands, "x", shape, seed);
    operands.Output("statistics", {4}, DType::kF32);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) {
    Statistics(ctx, {.x = operands["x"], .statistics = operands["statistics"]});
  };
  op.check = [](const Operands& before, const Operands& after, Checker& checker) {
    const Exact exact = ExactOf(before["x"]);
    const ConstTensorView got = after["statistics"];
    checker.Near("smallest", 0, ValueAt(got, 0), exact.smallest, 0.0);
    checker.Near("largest", 1, ValueAt(got, 1), exact.largest, 0.0);
    checker.Near("mean", 2, ValueAt(got, 2), exact.mean,
                 HalfUlp(DType::kF32, exact.mean) + 0x1p-50 * exact.mean_magnitude);
    checker.Near("norm", 3, ValueAt(got, 3), exact.norm, 2.0 * HalfUlp(DType::kF32, exact.norm));
  };
  if (shape.perf) op.bytes = static_cast<double>(shape.shape.elements() * SizeOf(shape.x));
  return op;
}

}  // namespace

std::vector<OpCase> StatisticsCases() {
  constexpr DType kBF16 = DType::kBF16;
  const InputShape shapes[] = {
      {.shape = {1}},
      {.shape = {15}, .x = kBF16},
      {.shape = {7, 17}, .data = Data::kHeavyTails},
      {.shape = {1000}, .data = Data::kTiny},
      {.shape = {1000}, .data = Data::kHuge},
      {.shape = {997}, .x = kBF16, .data = Data::kZeroGroups},
      {.shape = {3, 65537}, .data = Data::kOutliers},
      {.shape = {2, 65536}, .x = kBF16, .data = Data::kIntegers},
      {.shape = {200}, .special = Special::kNaN, .at = 199},
      {.shape = {70000}, .special = Special::kNaN, .at = 69999},
      {.shape = {200}, .x = kBF16, .special = Special::kInfinity, .at = 3},
      {.shape = {70000}, .special = Special::kInfinity, .at = 0},
      {.shape = {40}, .special = Special::kBoth, .at = 20},
      {.shape = {1024, 1024}, .perf = true},
      {.shape = {1024, 1024}, .x = kBF16, .perf = true},
  };
  std::vector<OpCase> cases;
  std::vector<InputShape> all;
  for (const InputShape& shape : shapes) {
    cases.push_back(NormsCase(shape.Name(), {shape}));
    cases.push_back(StatisticsCase(shape));
    all.push_back(shape);
    if (all.size() % 4 == 0) all.push_back({.shape = {0}});
  }
  cases.push_back(NormsCase("all of these", all));
  std::vector<InputShape> many;
  for (std::int64_t t = 0; t < 700; ++t) {
    many.push_back({.shape = {t * 41 % 1000}, .x = t % 3 == 0 ? kBF16 : DType::kF32});
  }
  cases.push_back(NormsCase("700 tensors", many));
  cases.push_back(NormsCase("no elements", {{.shape = {0}}}));
  return cases;
}

}  // namespace coat
