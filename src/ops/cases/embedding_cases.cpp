#include "ops/embedding.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

struct EmbeddingShape {
  DType x = DType::kF32;
  DType d_weight = DType::kF32;
  std::int64_t positions = 1, ids = 1, columns = 1;
  std::int64_t low = 0, high = 1;  // ids are drawn from [low, high): others stay unused
  Data data = Data::kNormal;

  std::string Name() const {
    return fmt::format("{},N={},E={},D={},ids={}to{},{}", NameOf(x), positions, ids, columns, low, high, NameOf(data));
  }
};

OpCase ForwardCase(const EmbeddingShape& shape, DType weight = DType::kF32) {
  OpCase op;
  op.name = fmt::format("EmbeddingForward/{},weight {}", shape.Name(), NameOf(weight));
  op.make = [shape, weight](std::uint64_t seed) {
    Operands operands;
    operands.Input("weight", {shape.ids, shape.columns}, weight, seed, shape.data);
    operands.Indices("ids", {shape.positions}, seed, shape.low, shape.high);
    operands.Output("x", {shape.positions, shape.columns}, shape.x);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) {
    EmbeddingForward(ctx, {.weight = operands["weight"], .ids = operands["ids"], .x = operands["x"]});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < shape.positions * shape.columns; ++i) {
      const std::int32_t id = before["ids"].As<std::int32_t>()[i / shape.columns];
      const double exact = ValueAt(before["weight"], id * shape.columns + i % shape.columns);
      checker.Near("x", i, ValueAt(after["x"], i), exact, shape.x == DType::kF32 ? 0.0 : HalfUlp(shape.x, exact));
    }
  };
  op.bitwise = true;
  op.bytes = static_cast<double>(shape.positions * shape.columns * (SizeOf(weight) + SizeOf(shape.x)));
  return op;
}

/// Position by position and column by column, in float32 as the contract orders it and in double.
void CheckBackward(const EmbeddingShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const std::int32_t* ids = before["ids"].As<std::int32_t>();
  std::vector<std::vector<std::int64_t>> positions_of(static_cast<std::size_t>(shape.ids));
  for (std::int64_t n = 0; n < shape.positions; ++n) positions_of[static_cast<std::size_t>(ids[n])].push_back(n);

  std::int64_t next = 0;
  for (std::int64_t id = 0; id < shape.ids; ++id) {
    const std::vector<std::int64_t>& positions = positions_of[static_cast<std::size_t>(id)];
    for (const std::int64_t n : positions) checker.Near("order", next, ValueAt(after["order"], next), n, 0.0), ++next;
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      const std::int64_t i = id * shape.columns + column;
      const double got = ValueAt(after["d_weight"], i);
      const double start = ValueAt(before["d_weight"], i);
      if (positions.empty()) {
        checker.Near("unused d_weight", i, got, start, 0.0);
        continue;
      }
      double exact = start;
      double magnitudes = std::abs(start);
      float sum = 0.0f;
      for (const std::int64_t n : positions) {
        const double term = ValueAt(before["d_x"], n * shape.columns + column);
        exact += term;
        magnitudes += std::abs(term);
        sum = n == positions.front() ? static_cast<float>(term) : sum + static_cast<float>(term);
      }
      const float in_order = static_cast<float>(start) + sum;
      checker.Near("d_weight in order", i, got,
                   shape.d_weight == DType::kF32 ? in_order : ToFloat(ToBFloat16(in_order)), 0.0);
      const double error = 0x1p-24 * static_cast<double>(positions.size()) * magnitudes;
      checker.Near("d_weight", i, got, exact, error + HalfUlp(shape.d_weight, std::abs(exact) + error));
    }
  }
}

OpCase BackwardCase(const EmbeddingShape& shape) {
  OpCase op;
  op.name = fmt::format("EmbeddingBackward/d_weight={},d_x={}", NameOf(shape.d_weight), shape.Name());
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    operands.Indices("ids", {shape.positions}, seed, shape.low, shape.high);
    operands.Input("d_x", {shape.positions, shape.columns}, shape.x, seed, shape.data);
    operands.InOut("d_weight", {shape.ids, shape.columns}, shape.d_weight, seed);
    operands.Output("order", {shape.positions}, DType::kI32);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) {
    EmbeddingBackward(
        ctx,
        {.ids = operands["ids"], .d_x = operands["d_x"], .d_weight = operands["d_weight"], .order = operands["order"]});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckBackward(shape, before, after, checker);
  };
  op.bitwise = true;
  op.bytes = static_cast<double>(shape.positions * shape.columns * (SizeOf(shape.x) + 2 * SizeOf(shape.d_weight)));
  return op;
}

/// d_weight against differences of f(weight) = sum(d_x * EmbeddingForward(weight)) in double. f is linear, so a
/// difference of any step is its derivative.
OpCase DerivativeCase(const EmbeddingShape& shape) {
  OpCase op = BackwardCase(shape);
  op.name = "EmbeddingBackward/derivative," + shape.Name();
  op.check = [shape, check = op.check](const Operands& before, const Operands& after, Checker& checker) {
    check(before, after, checker);
    std::vector<double> weight(static_cast<std::size_t>(shape.ids * shape.columns), 0.0);
    const auto objective = [&] {
      double sum = 0.0;
      for (std::int64_t i = 0; i < shape.positions * shape.columns; ++i) {
        const std::int32_t id = before["ids"].As<std::int32_t>()[i / shape.columns];
        sum += ValueAt(before["d_x"], i) * weight[static_cast<std::size_t>(id * shape.columns + i % shape.columns)];
      }
      return sum;
    };
    for (std::size_t i = 0; i < weight.size(); ++i) {
      weight[i] = 1.0;
      const double above = objective();
      weight[i] = -1.0;
      const double derivative = 0.5 * (above - objective());
      weight[i] = 0.0;
      const auto index = static_cast<std::int64_t>(i);
      const double added = ValueAt(after["d_weight"], index) - ValueAt(before["d_weight"], index);
      // Whole numbers: their sums are exact.
      checker.Near("d_weight", index, added, derivative, 0.0);
    }
  };
  op.make = [make = op.make](std::uint64_t seed) {
    Operands operands = make(seed);
    const TensorView d_weight = operands["d_weight"];
    std::fill_n(d_weight.As<float>(), d_weight.elements(), 3.0f);
    return operands;
  };
  op.bytes = 0.0;
  return op;
}

}  // namespace

std::vector<OpCase> EmbeddingCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  const EmbeddingShape shapes[] = {
      {.x = kF32, .d_weight = kF32, .positions = 1, .ids = 1, .columns = 1, .low = 0, .high = 1},
      {.x = kBF16, .d_weight = kF32, .positions = 211, .ids = 37, .columns = 19, .low = 3, .high = 30},
      {.x = kF32, .d_weight = kBF16, .positions = 129, .ids = 500, .columns = 257, .low = 0, .high = 500},
      {.x = kBF16, .d_weight = kBF16, .positions = 1000, .ids = 5, .columns = 300, .low = 4, .high = 5},
      {.x = kBF16,
       .d_weight = kF32,
       .positions = 300,
       .ids = 50,
       .columns = 64,
       .low = 0,
       .high = 50,
       .data = Data::kHeavyTails},
      {.x = kF32, .d_weight = kF32, .positions = 64, .ids = 8, .columns = 16, .low = 0, .high = 8, .data = Data::kTiny},
      // Runs of many positions, in rows of several vectors and in part of one slice of columns.
      {.x = kBF16, .d_weight = kBF16, .positions = 3000, .ids = 9, .columns = 200, .low = 2, .high = 6},
      {.x = kF32, .d_weight = kF32, .positions = 700, .ids = 3, .columns = 8, .low = 0, .high = 3},
      {.x = kBF16, .d_weight = kF32, .positions = 512, .ids = 1, .columns = 64, .low = 0, .high = 1},
      {.x = kF32, .d_weight = kBF16, .positions = 33, .ids = 2, .columns = 72, .low = 1, .high = 2},
      // More ids than the workspace has counters.
      {.x = kF32,
       .d_weight = kF32,
       .positions = 997,
       .ids = 5'000'000,
       .columns = 1,
       .low = 4'999'800,
       .high = 5'000'000},
      {.x = kBF16, .d_weight = kF32, .positions = 2048, .ids = 384, .columns = 256, .low = 0, .high = 384},
  };
  std::vector<OpCase> cases;
  // More positions than a GPU's first workspace sorts.
  cases.push_back(BackwardCase(
      {.x = kBF16, .d_weight = kF32, .positions = 4'300'000, .ids = 50, .columns = 1, .low = 0, .high = 50}));
  for (const EmbeddingShape& shape : shapes) {
    cases.push_back(ForwardCase(shape));
    cases.push_back(ForwardCase(shape, kBF16));
    cases.push_back(BackwardCase(shape));
  }
  cases.push_back(DerivativeCase({.x = kF32,
                                  .d_weight = kF32,
                                  .positions = 11,
                                  .ids = 5,
                                  .columns = 3,
                                  .low = 0,
                                  .high = 4,
                                  .data = Data::kIntegers}));
  return cases;
}

}  // namespace coat
