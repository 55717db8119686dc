#include "ops/lion.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

constexpr LionWSettings kSettings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.99};
constexpr double kWeightDecay = 0.1;

struct LionWShape {
  Shape shape;
  DType grad = DType::kF32;
  Data data = Data::kNormal;
  bool selective = false;
  bool absmax = true;  // wanted
  bool perf = false;
  std::int64_t second = -1;  // elements of a second tensor without weight decay; none if negative

  std::vector<Shape> Shapes() const {
    return second < 0 ? std::vector<Shape>{shape} : std::vector<Shape>{shape, {second}};
  }
};

std::string NameOf(const char* operand, std::size_t tensor) {
  return fmt::format("{}.{}", operand, tensor);
}

/// Element by element in double.
void CheckElements(const LionWShape& shape, std::size_t t, const Operands& before, const Operands& after,
                   Checker& checker) {
  const ConstTensorView old_p = before[NameOf("param", t)], grads = before[NameOf("grad", t)];
  const ConstTensorView old_m = before[NameOf("exp_avg", t)];
  const ConstTensorView got_p = after[NameOf("param", t)], got_m = after[NameOf("exp_avg", t)];
  const double weight_decay = t == 0 ? kWeightDecay : 0.0;
  const double scale = ValueAt(before["grad_scale"], 0);
  for (std::int64_t i = 0; i < grads.elements(); ++i) {
    const double p = ValueAt(old_p, i);
    const double m = ValueAt(old_m, i);
    const double g = ValueAt(grads, i) * scale;
    if (shape.selective && g == 0.0) {
      checker.Near("unchanged param", i, ValueAt(got_p, i), p, 0.0);
      checker.Near("unchanged exp_avg", i, ValueAt(got_m, i), m, 0.0);
      continue;
    }
    const double direction = kSettings.beta1 * m + (1.0 - kSettings.beta1) * g;
    const double sign = direction > 0.0 ? 1.0 : (direction < 0.0 ? -1.0 : 0.0);
    const double error = 5 * kFloatRoundoff * (std::abs(m) + std::abs(g)) + 0x1p-148;
    const double new_p = p * (1.0 - kSettings.learning_rate * weight_decay) - kSettings.learning_rate * sign;
    // Where the direction is within its error of 0, any sign is right.
    const double slack = std::abs(direction) <= error ? 2.0 * kSettings.learning_rate : 0.0;
    checker.Near("param", i, ValueAt(got_p, i), new_p, 4 * kFloatRoundoff * (std::abs(p) + 1e-3) + slack);
    checker.Near("exp_avg", i, ValueAt(got_m, i), kSettings.beta2 * m + (1.0 - kSettings.beta2) * g, error);
  }
}

OpCase CaseOf(const LionWShape& shape) {
  OpCase op;
  op.name = fmt::format("LionW/{}{},grad={},{}{}", shape.shape.ToString(),
                        shape.second < 0 ? "" : fmt::format(" and {}", shape.second), NameOf(shape.grad),
                        NameOf(shape.data), shape.selective ? ",selective" : "");
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    const std::vector<Shape> shapes = shape.Shapes();
    for (std::size_t t = 0; t < shapes.size(); ++t) {
      operands.InOut(NameOf("param", t), shapes[t], DType::kF32, seed);
      operands.Input(NameOf("grad", t), shapes[t], shape.grad, seed, shape.data);
      operands.InOut(NameOf("exp_avg", t), shapes[t], DType::kF32, seed, shape.data);
    }
    if (shape.absmax) operands.Output("absmax", {static_cast<std::int64_t>(shapes.size())}, DType::kF32);
    operands.Input("grad_scale", {1}, DType::kF32, seed).As<float>()[0] = 0.3f;
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    std::vector<LionWTensor> tensors;
    for (std::size_t t = 0; t < shape.Shapes().size(); ++t) {
      tensors.push_back({.param = operands[NameOf("param", t)],
                         .grad = operands[NameOf("grad", t)],
                         .exp_avg = operands[NameOf("exp_avg", t)],
                         .grad_scale = operands["grad_scale"],
                         .weight_decay = t == 0 ? kWeightDecay : 0.0});
    }
    LionWArgs args = {.tensors = tensors, .settings = kSettings, .selective = shape.selective};
    if (shape.absmax) args.absmax = operands["absmax"];
    LionW(ctx, args);
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::size_t t = 0; t < shape.Shapes().size(); ++t) {
      CheckElements(shape, t, before, after, checker);
      if (shape.absmax) {
        const double largest = AbsMaxOf(after[NameOf("param", t)]);
        checker.Near("absmax", static_cast<std::int64_t>(t), ValueAt(after["absmax"], static_cast<std::int64_t>(t)),
                     largest, 0.0);
      }
    }
  };
  op.bitwise = true;
  if (shape.perf) op.bytes = static_cast<double>(shape.shape.elements() * (2 * 8 + SizeOf(shape.grad)));
  return op;
}

}  // namespace

std::vector<OpCase> LionWCases() {
  const LionWShape shapes[] = {
      {.shape = {1}, .absmax = false},
      {.shape = {7, 13}, .grad = DType::kBF16, .data = Data::kHeavyTails},
      {.shape = {997}, .data = Data::kTiny},
      {.shape = {997}, .data = Data::kHuge},
      {.shape = {997}, .data = Data::kZeroGroups},
      {.shape = {33, 1009}, .grad = DType::kBF16, .data = Data::kZeroGroups, .selective = true},
      {.shape = {3, 2048}, .second = 1021},
      {.shape = {1024, 1024}, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const LionWShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
