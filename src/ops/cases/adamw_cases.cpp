#include "ops/adamw.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

constexpr DType kF32 = DType::kF32;
constexpr DType kBF16 = DType::kBF16;
constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kSmallest = std::numeric_limits<float>::denorm_min();

struct AdamWShape {
  std::vector<Shape> shapes;          // of each tensor; the second, fourth, ... have no weight decay
  std::vector<DType> grads = {kF32};  // of the tensors in turn
  Data data = Data::kNormal;
  std::int64_t step = 1;
  bool scaled = true;  // with a grad_scale
  bool absmax = true;  // wanted
  bool selective = false;
  bool perf = false;

  std::int64_t Elements() const {
    std::int64_t elements = 0;
    for (const Shape& shape : shapes) elements += shape.elements();
    return elements;
  }
};

AdamWSettings SettingsOf(const AdamWShape& shape) {
  return {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = shape.step};
}

double WeightDecayOf(std::size_t tensor) {
  return tensor % 2 == 0 ? 0.1 : 0.0;
}

std::string NameOf(const char* operand, std::size_t tensor) {
  return fmt::format("{}.{}", operand, tensor);
}

Operands MakeOperands(const AdamWShape& shape, std::uint64_t seed) {
  Operands operands;
  for (std::size_t t = 0; t < shape.shapes.size(); ++t) {
    const Shape& of = shape.shapes[t];
    operands.InOut(NameOf("param", t), of, kF32, seed);
    operands.Input(NameOf("grad", t), of, shape.grads[t % shape.grads.size()], seed, shape.data);
    const TensorView exp_avg = operands.InOut(NameOf("exp_avg", t), of, kF32, seed, shape.data);
    const TensorView exp_avg_sq = operands.InOut(NameOf("exp_avg_sq", t), of, kF32, seed, shape.data);
    for (std::int64_t i = 0; i < exp_avg_sq.elements(); ++i) {
      float& v = exp_avg_sq.As<float>()[i];
      v = shape.step == 1 ? 0.0f : std::min(v * v, std::numeric_limits<float>::max());
      if (shape.step == 1) exp_avg.As<float>()[i] = 0.0f;
    }
  }
  const auto count = static_cast<std::int64_t>(shape.shapes.size());
  if (shape.absmax) operands.Output("absmax", {count}, kF32);
  if (!shape.scaled) return operands;
  const TensorView scales = operands.Input("grad_scale", {count}, kF32, seed);
  for (std::int64_t t = 0; t < count; ++t) scales.As<float>()[t] = 0.3f / static_cast<float>(t + 1);
  return operands;
}

void Call(Context& ctx, const AdamWShape& shape, const Operands& operands) {
  std::vector<AdamWTensor> tensors;
  for (std::size_t t = 0; t < shape.shapes.size(); ++t) {
    tensors.push_back({.param = operands[NameOf("param", t)],
                       .grad = operands[NameOf("grad", t)],
                       .exp_avg = operands[NameOf("exp_avg", t)],
                       .exp_avg_sq = operands[NameOf("exp_avg_sq", t)],
                       .weight_decay = WeightDecayOf(t)});
    if (shape.scaled) tensors.back().grad_scale = operands["grad_scale"].Rows(static_cast<std::int64_t>(t), 1);
  }
  AdamWArgs args = {.tensors = tensors, .settings = SettingsOf(shape), .selective = shape.selective};
  if (shape.absmax) args.absmax = operands["absmax"];
  AdamW(ctx, args);
}

/// Element by element in double. A square of a gradient beyond float32 stops at its largest number.
void CheckElements(const AdamWShape& shape, std::size_t t, const Operands& before, const Operands& after,
                   Checker& checker) {
  const AdamWSettings s = SettingsOf(shape);
  const double scale = shape.scaled ? ValueAt(before["grad_scale"], static_cast<std::int64_t>(t)) : 1.0;
  const ConstTensorView old_p = before[NameOf("param", t)], grads = before[NameOf("grad", t)];
  const ConstTensorView old_m = before[NameOf("exp_avg", t)], old_v = before[NameOf("exp_avg_sq", t)];
  const ConstTensorView got_p = after[NameOf("param", t)];
  const ConstTensorView got_m = after[NameOf("exp_avg", t)], got_v = after[NameOf("exp_avg_sq", t)];
  const double correction1 = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
  const double correction2 = 1.0 - std::pow(s.beta2, static_cast<double>(s.step));
  for (std::int64_t i = 0; i < grads.elements(); ++i) {
    const double p = ValueAt(old_p, i);
    const double m = ValueAt(old_m, i);
    const double v = ValueAt(old_v, i);
    const double g = ValueAt(grads, i) * scale;
    if (shape.selective && g == 0.0) {
      checker.Near("unchanged param", i, ValueAt(got_p, i), p, 0.0);
      checker.Near("unchanged exp_avg", i, ValueAt(got_m, i), m, 0.0);
      checker.Near("unchanged exp_avg_sq", i, ValueAt(got_v, i), v, 0.0);
      continue;
    }
    const double new_m = s.beta1 * m + (1.0 - s.beta1) * g;
    const double new_v = g * g > kLargest ? kLargest : std::min(s.beta2 * v + (1.0 - s.beta2) * g * g, kLargest);
    const double denominator = std::sqrt(new_v) / std::sqrt(correction2) + s.eps;
    const double new_p =
        p * (1.0 - s.learning_rate * WeightDecayOf(t)) - s.learning_rate / correction1 * (new_m / denominator);
    // Roundings in order: the scaled gradient, both factors, both products, the sum.
    const double m_error = 5 * kFloatRoundoff * (std::abs(m) + std::abs(g)) + 3 * kSmallest;
    const double v_error = 6 * kFloatRoundoff * new_v + 3 * kSmallest;
    const double root_error = std::min(v_error / std::sqrt(new_v + kSmallest), std::sqrt(v_error));
    const double update_error =
        (m_error + std::abs(new_m) * (8 * kFloatRoundoff + root_error / std::sqrt(correction2) / denominator)) /
        denominator;
    const double p_error =
        3 * kFloatRoundoff * (std::abs(p) + std::abs(new_p)) + s.learning_rate / correction1 * update_error;
    checker.Near("param", i, ValueAt(got_p, i), new_p, p_error);
    checker.Near("exp_avg", i, ValueAt(got_m, i), new_m, m_error);
    checker.Near("exp_avg_sq", i, ValueAt(got_v, i), new_v, v_error);
  }
}

OpCase CaseOf(const AdamWShape& shape) {
  OpCase op;
  const std::string first = shape.shapes.empty() ? "" : shape.shapes[0].ToString();
  op.name = fmt::format("AdamW/{}{},grad={}{},{},step={}{}{}", first,
                        shape.shapes.size() == 1 ? "" : fmt::format(" of {}", shape.shapes.size()),
                        NameOf(shape.grads[0]), shape.grads.size() == 1 ? "" : " and others", NameOf(shape.data),
                        shape.step, shape.scaled ? ",scaled" : "", shape.selective ? ",selective" : "");
  op.make = [shape](std::uint64_t seed) { return MakeOperands(shape, seed); };
  op.call = [shape](Context& ctx, const Operands& operands) { Call(ctx, shape, operands); };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::size_t t = 0; t < shape.shapes.size(); ++t) {
      CheckElements(shape, t, before, after, checker);
      if (shape.absmax) {
        const double largest = AbsMaxOf(after[NameOf("param", t)]);
        checker.Near("absmax", static_cast<std::int64_t>(t), ValueAt(after["absmax"], static_cast<std::int64_t>(t)),
                     largest, 0.0);
      }
    }
  };
  op.bitwise = true;
  if (shape.perf) op.bytes = static_cast<double>(shape.Elements() * (3 * 8 + SizeOf(shape.grads[0])));
  return op;
}

/// More tensors than a kernel takes at once, of up to `longest` elements.
std::vector<Shape> ManyShapes(std::int64_t count, std::int64_t longest) {
  std::vector<Shape> shapes;
  for (std::int64_t t = 0; t < count; ++t) shapes.push_back({1 + t * 37 % longest});
  return shapes;
}

}  // namespace

std::vector<OpCase> AdamWCases() {
  const AdamWShape shapes[] = {
      {.shapes = {{1}}, .scaled = false, .absmax = false},
      {.shapes = {{31}}, .grads = {kBF16}, .step = 2},
      {.shapes = {{7, 13}}, .data = Data::kHeavyTails, .step = 10},
      {.shapes = {{3, 5, 7}}, .data = Data::kTiny, .step = 3},
      {.shapes = {{500}}, .data = Data::kHuge, .step = 3, .scaled = false},
      {.shapes = {{997}}, .data = Data::kZeroGroups, .step = 1'000'000, .selective = true},
      {.shapes = {{997}}, .grads = {kBF16}, .data = Data::kZeroGroups, .step = 7},
      {.shapes = {{33, 1009}}, .grads = {kBF16}, .data = Data::kOutliers, .step = 100},
      {.shapes = {{1024}, {0}, {5, 1000}, {4096}, {1}}, .step = 4},
      {.shapes = ManyShapes(600, 1500), .grads = {kF32, kBF16}, .step = 2},
      {.shapes = {{1024, 1024}}, .step = 100, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const AdamWShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
