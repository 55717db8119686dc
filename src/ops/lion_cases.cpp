#include "ops/lion.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "ops/format_reference.h"
#include "ops/op_case.h"

namespace coat {

namespace {

constexpr LionWSettings kSettings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1};

struct LionWShape {
  Shape shape;
  DType grad = DType::kF32;
  Data data = Data::kNormal;
  bool selective = false;
  bool perf = false;
};

/// Element by element in double.
void CheckElements(const LionWShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const double scale = ValueAt(before["grad_scale"], 0);
  for (std::int64_t i = 0; i < shape.shape.elements(); ++i) {
    const double p = ValueAt(before["param"], i);
    const double m = ValueAt(before["exp_avg"], i);
    const double g = ValueAt(before["grad"], i) * scale;
    if (shape.selective && g == 0.0) {
      checker.Near("unchanged param", i, ValueAt(after["param"], i), p, 0.0);
      checker.Near("unchanged exp_avg", i, ValueAt(after["exp_avg"], i), m, 0.0);
      continue;
    }
    const double direction = kSettings.beta1 * m + (1.0 - kSettings.beta1) * g;
    const double sign = direction > 0.0 ? 1.0 : (direction < 0.0 ? -1.0 : 0.0);
    const double error = 5 * kFloatRoundoff * (std::abs(m) + std::abs(g)) + 0x1p-148;
    const double new_p = p * (1.0 - kSettings.learning_rate * kSettings.weight_decay) - kSettings.learning_rate * sign;
    // Where the direction is within its error of 0, any sign is right.
    const double slack = std::abs(direction) <= error ? 2.0 * kSettings.learning_rate : 0.0;
    checker.Near("param", i, ValueAt(after["param"], i), new_p, 4 * kFloatRoundoff * (std::abs(p) + 1e-3) + slack);
    checker.Near("exp_avg", i, ValueAt(after["exp_avg"], i), kSettings.beta2 * m + (1.0 - kSettings.beta2) * g, error);
  }
}

OpCase CaseOf(const LionWShape& shape) {
  OpCase op;
  op.name = fmt::format("LionW/{},grad={},{}{}", shape.shape.ToString(), NameOf(shape.grad), NameOf(shape.data),
                        shape.selective ? ",selective" : "");
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    operands.InOut("param", shape.shape, DType::kF32, seed);
    operands.Input("grad", shape.shape, shape.grad, seed, shape.data);
    operands.InOut("exp_avg", shape.shape, DType::kF32, seed, shape.data);
    operands.Input("grad_scale", {1}, DType::kF32, seed).As<float>()[0] = 0.3f;
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    LionW(ctx, {.param = operands["param"],
                .grad = operands["grad"],
                .exp_avg = operands["exp_avg"],
                .grad_scale = operands["grad_scale"],
                .settings = kSettings,
                .selective = shape.selective});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckElements(shape, before, after, checker);
  };
  op.bitwise = true;
  if (shape.perf) op.bytes = static_cast<double>(shape.shape.elements() * (2 * 8 + SizeOf(shape.grad)));
  return op;
}

}  // namespace

std::vector<OpCase> LionWCases() {
  const LionWShape shapes[] = {
      {.shape = {1}},
      {.shape = {7, 13}, .grad = DType::kBF16, .data = Data::kHeavyTails},
      {.shape = {997}, .data = Data::kTiny},
      {.shape = {997}, .data = Data::kHuge},
      {.shape = {997}, .data = Data::kZeroGroups},
      {.shape = {33, 1009}, .grad = DType::kBF16, .data = Data::kZeroGroups, .selective = true},
      {.shape = {1024, 1024}, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const LionWShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
