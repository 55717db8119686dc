#include "ops/adamw.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "ops/format_reference.h"
#include "ops/op_case.h"

namespace coat {

namespace {

constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kSmallest = std::numeric_limits<float>::denorm_min();

struct AdamWShape {
  Shape shape;
  DType grad = DType::kF32;
  Data data = Data::kNormal;
  std::int64_t step = 1;
  bool scaled = true;  // with a grad_scale
  bool selective = false;
  bool perf = false;
};

AdamWSettings SettingsOf(const AdamWShape& shape) {
  return {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .step = shape.step};
}

Operands MakeOperands(const AdamWShape& shape, std::uint64_t seed) {
  Operands operands;
  operands.InOut("param", shape.shape, DType::kF32, seed);
  operands.Input("grad", shape.shape, shape.grad, seed, shape.data);
  const TensorView exp_avg = operands.InOut("exp_avg", shape.shape, DType::kF32, seed, shape.data);
  const TensorView exp_avg_sq = operands.InOut("exp_avg_sq", shape.shape, DType::kF32, seed, shape.data);
  for (std::int64_t i = 0; i < exp_avg_sq.elements(); ++i) {
    float& v = exp_avg_sq.As<float>()[i];
    v = shape.step == 1 ? 0.0f : std::min(v * v, std::numeric_limits<float>::max());
    if (shape.step == 1) exp_avg.As<float>()[i] = 0.0f;
  }
  if (shape.scaled) operands.Input("grad_scale", {1}, DType::kF32, seed).As<float>()[0] = 0.3f;
  return operands;
}

/// Element by element in double. A square of a gradient beyond float32 stops at its largest number.
void CheckElements(const AdamWShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const AdamWSettings s = SettingsOf(shape);
  const double scale = shape.scaled ? ValueAt(before["grad_scale"], 0) : 1.0;
  const double correction1 = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
  const double correction2 = 1.0 - std::pow(s.beta2, static_cast<double>(s.step));
  for (std::int64_t i = 0; i < shape.shape.elements(); ++i) {
    const double p = ValueAt(before["param"], i);
    const double m = ValueAt(before["exp_avg"], i);
    const double v = ValueAt(before["exp_avg_sq"], i);
    const double g = ValueAt(before["grad"], i) * scale;
    if (shape.selective && g == 0.0) {
      checker.Near("unchanged param", i, ValueAt(after["param"], i), p, 0.0);
      checker.Near("unchanged exp_avg", i, ValueAt(after["exp_avg"], i), m, 0.0);
      checker.Near("unchanged exp_avg_sq", i, ValueAt(after["exp_avg_sq"], i), v, 0.0);
      continue;
    }
    const double new_m = s.beta1 * m + (1.0 - s.beta1) * g;
    const double new_v = g * g > kLargest ? kLargest : std::min(s.beta2 * v + (1.0 - s.beta2) * g * g, kLargest);
    const double denominator = std::sqrt(new_v) / std::sqrt(correction2) + s.eps;
    const double new_p =
        p * (1.0 - s.learning_rate * s.weight_decay) - s.learning_rate / correction1 * (new_m / denominator);
    // Roundings in order: the scaled gradient, both factors, both products, the sum.
    const double m_error = 5 * kFloatRoundoff * (std::abs(m) + std::abs(g)) + 3 * kSmallest;
    const double v_error = 6 * kFloatRoundoff * new_v + 3 * kSmallest;
    const double root_error = std::min(v_error / std::sqrt(new_v + kSmallest), std::sqrt(v_error));
    const double update_error =
        (m_error + std::abs(new_m) * (8 * kFloatRoundoff + root_error / std::sqrt(correction2) / denominator)) /
        denominator;
    const double p_error =
        3 * kFloatRoundoff * (std::abs(p) + std::abs(new_p)) + s.learning_rate / correction1 * update_error;
    checker.Near("param", i, ValueAt(after["param"], i), new_p, p_error);
    checker.Near("exp_avg", i, ValueAt(after["exp_avg"], i), new_m, m_error);
    checker.Near("exp_avg_sq", i, ValueAt(after["exp_avg_sq"], i), new_v, v_error);
  }
}

OpCase CaseOf(const AdamWShape& shape) {
  OpCase op;
  op.name =
      fmt::format("AdamW/{},grad={},{},step={}{}{}", shape.shape.ToString(), NameOf(shape.grad), NameOf(shape.data),
                  shape.step, shape.scaled ? ",scaled" : "", shape.selective ? ",selective" : "");
  op.make = [shape](std::uint64_t seed) { return MakeOperands(shape, seed); };
  op.call = [shape](Context& ctx, const Operands& operands) {
    AdamW(ctx, {.param = operands["param"],
                .grad = operands["grad"],
                .exp_avg = operands["exp_avg"],
                .exp_avg_sq = operands["exp_avg_sq"],
                .grad_scale = shape.scaled ? ConstTensorView(operands["grad_scale"]) : ConstTensorView(),
                .settings = SettingsOf(shape),
                .selective = shape.selective});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckElements(shape, before, after, checker);
  };
  op.bitwise = true;
  if (shape.perf) op.bytes = static_cast<double>(shape.shape.elements() * (3 * 8 + SizeOf(shape.grad)));
  return op;
}

}  // namespace

std::vector<OpCase> AdamWCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  const AdamWShape shapes[] = {
      {.shape = {1}, .grad = kF32, .scaled = false},
      {.shape = {31}, .grad = kBF16, .step = 2},
      {.shape = {7, 13}, .grad = kF32, .data = Data::kHeavyTails, .step = 10},
      {.shape = {3, 5, 7}, .grad = kF32, .data = Data::kTiny, .step = 3},
      {.shape = {500}, .grad = kF32, .data = Data::kHuge, .step = 3, .scaled = false},
      {.shape = {997}, .grad = kF32, .data = Data::kZeroGroups, .step = 1'000'000, .selective = true},
      {.shape = {997}, .grad = kBF16, .data = Data::kZeroGroups, .step = 7},
      {.shape = {33, 1009}, .grad = kBF16, .data = Data::kOutliers, .step = 100},
      {.shape = {1024, 1024}, .grad = kF32, .step = 100, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const AdamWShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
