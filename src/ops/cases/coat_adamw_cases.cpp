#include "ops/coat_adamw.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/divide.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

/// What the groups hold before the update.
enum class Start : std::uint8_t { kZeros, kAnyCodes };

struct CoatShape {
  std::vector<std::int64_t> elements = {1};  // of each tensor; the second, fourth, ... have no weight decay
  std::int64_t group = 128;
  DType grad = DType::kF32;
  Data data = Data::kNormal;
  DType first = DType::kE4M3;
  DType second = DType::kE4M3;
  bool expand_first = true;
  bool expand_second = true;
  Start start = Start::kAnyCodes;
  std::int64_t step = 3;
  std::int64_t expand_min = 16;
  bool absmax = true;     // wanted
  bool constant = false;  // all gradients alike
  bool perf = false;
};

AdamWSettings SettingsOf(const CoatShape& shape) {
  return {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = shape.step};
}

double WeightDecayOf(std::size_t tensor) {
  return tensor % 2 == 0 ? 0.1 : 0.0;
}

std::string NameOf(const char* operand, std::size_t tensor) {
  return fmt::format("{}.{}", operand, tensor);
}

void MakeMoment(Operands& operands, const std::string& name, const CoatShape& shape, std::int64_t elements,
                DType format, bool expanded, bool is_signed, std::uint64_t seed) {
  const std::int64_t groups = DivideUp(elements, shape.group);
  const TensorView codes = operands.InOut(name, {elements}, format, seed);
  const TensorView absmax = operands.InOut(name + ".absmax", {groups}, DType::kF32, seed, shape.data);
  // The op is not given those of a moment that is not expanded.
  const TensorView exponent = expanded ? operands.InOut(name + ".exponent", {groups}, DType::kF32, seed)
                                       : operands.Input(name + ".exponent", {1}, DType::kF32, seed);
  if (shape.start == Start::kZeros) {
    for (const TensorView& tensor : {codes, absmax, exponent}) {
      std::memset(tensor.data(), 0, static_cast<std::size_t>(tensor.bytes()));
    }
    return;
  }
  for (std::int64_t i = 0; i < elements; ++i) {
    if (!is_signed) codes.As<std::uint8_t>()[i] &= 0x7f;
  }
  for (std::int64_t g = 0; g < groups; ++g) absmax.As<float>()[g] = std::abs(absmax.As<float>()[g]);
  for (std::int64_t g = 0; g < exponent.elements(); ++g) {
    const float steps = std::floor(std::abs(exponent.As<float>()[g]) * 10.0f) + 8.0f;
    exponent.As<float>()[g] = steps / static_cast<float>(shape.expand_min);
  }
}

Operands MakeOperands(const CoatShape& shape, std::uint64_t seed) {
  Operands operands;
  for (std::size_t t = 0; t < shape.elements.size(); ++t) {
    const std::int64_t elements = shape.elements[t];
    operands.InOut(NameOf("param", t), {elements}, DType::kF32, seed);
    const TensorView grad = operands.Input(NameOf("grad", t), {elements}, shape.grad, seed, shape.data);
    const std::int64_t size = SizeOf(shape.grad);
    for (std::int64_t i = 1; shape.constant && i < elements; ++i) {
      std::memcpy(grad.As<std::byte>() + i * size, grad.data(), static_cast<std::size_t>(size));
    }
    MakeMoment(operands, NameOf("exp_avg", t), shape, elements, shape.first, shape.expand_first, true, seed);
    MakeMoment(operands, NameOf("exp_avg_sq", t), shape, elements, shape.second, shape.expand_second, false, seed);
  }
  const auto count = static_cast<std::int64_t>(shape.elements.size());
  if (shape.absmax) operands.Output("absmax", {count}, DType::kF32);
  const TensorView scales = operands.Input("grad_scale", {count}, DType::kF32, seed);
  for (std::int64_t t = 0; t < count; ++t) scales.As<float>()[t] = 0.3f / static_cast<float>(t + 1);
  return operands;
}

ExpandedMoment MomentOf(const Operands& operands, const std::string& name, bool expanded) {
  return {operands[name], operands[name + ".absmax"], expanded ? operands[name + ".exponent"] : TensorView()};
}

/// A moment's element in double, from the definition of its storage.
double ExactElement(const ExpandedMoment& moment, std::int64_t group, std::int64_t i) {
  const double code = ValueAt(moment.codes, i);
  if (code == 0.0) return 0.0;
  const double exponent = moment.exponent ? ValueAt(moment.exponent, i / group) : 1.0;
  const double ratio = std::abs(code) / LargestOf(moment.codes.dtype());
  return std::copysign(ValueAt(moment.absmax, i / group) * std::pow(ratio, 1.0 / exponent), code);
}

/// The contract's bound of a decoded moment, and of AdamW's operations on it.
constexpr double kMomentError = 0x1p-15 + 4 * kFloatRoundoff;
/// The contract's bound of log2(absmax / absmin).
constexpr double kRangeError = 2e-5;
constexpr double kTiny = 0x1p-147;

/// A group's new moments in double, and how far off each may be.
struct ExactGroup {
  std::vector<double> values;
  std::vector<double> slack;

  void Add(double value, double error) {
    values.push_back(value);
    slack.push_back(error);
  }
};

/// log2 of the largest over the smallest magnitude that is not 0: the least and the most that it may be.
struct Range {
  double least = 0.0;
  double most = 0.0;
};

/// The range of a group; nothing if roundings might decide which elements are 0.
std::optional<Range> RangeOf(const ExactGroup& group) {
  double largest_least = 0.0, largest_most = 0.0, smallest_least = INFINITY, smallest_most = INFINITY;
  for (std::size_t i = 0; i < group.values.size(); ++i) {
    const double magnitude = std::abs(group.values[i]), slack = group.slack[i];
    if (magnitude == 0.0) continue;
    if (magnitude <= slack) return std::nullopt;
    largest_least = std::max(largest_least, magnitude - slack);
    largest_most = std::max(largest_most, magnitude + slack);
    smallest_least = std::min(smallest_least, magnitude - slack);
    smallest_most = std::min(smallest_most, magnitude + slack);
  }
  if (largest_most == 0.0) return std::nullopt;
  return Range{std::log2(largest_least / smallest_most) - kRangeError,
               std::log2(largest_most / smallest_least) + kRangeError};
}

void CheckExponent(std::string_view what, const CoatShape& shape, DType format, double exponent,
                   const ExactGroup& group, Checker& checker) {
  const auto expand_min = static_cast<double>(shape.expand_min);
  checker.True(fmt::format("{} exponent {} is at least one step and finite", what, exponent),
               exponent >= 1.0 / expand_min * (1.0 - 1e-6) && std::isfinite(exponent));
  const std::optional<Range> range = RangeOf(group);
  // Where the magnitudes may all be the same, any exponent may be right.
  if (!range || range->least <= 0.0) return;
  const double wanted = std::log2(LargestOf(format) * LargestOf(format) / 2.0) * expand_min;
  const double least = std::max(std::floor(wanted / std::min(range->most, 64.0) * (1.0 - 1e-6)), 1.0);
  const double most = std::max(std::floor(wanted / std::min(range->least, 64.0) * (1.0 + 1e-6)), 1.0);
  const double got = exponent * expand_min;
  checker.True(fmt::format("{} exponent of {} steps; expected {} to {}", what, got, least, most),
               got >= least * (1.0 - 1e-6) && got <= most * (1.0 + 1e-6));
}

/// A group after the update against the exact new moments: its largest magnitude, its exponent, its codes.
void CheckGroup(std::string_view what, const CoatShape& shape, const ExpandedMoment& moment, std::int64_t begin,
                const ExactGroup& group, Checker& checker) {
  const DType format = moment.codes.dtype();
  const std::int64_t g = begin / shape.group;
  double largest = 0.0, largest_slack = 0.0;
  for (std::size_t i = 0; i < group.values.size(); ++i) {
    largest = std::max(largest, std::abs(group.values[i]));
    largest_slack = std::max(largest_slack, group.slack[i]);
  }
  const double absmax = ValueAt(moment.absmax, g);
  checker.Near(what, g, absmax, largest, largest_slack + kTiny);
  const double exponent = moment.exponent ? ValueAt(moment.exponent, g) : 1.0;
  if (moment.exponent) CheckExponent(what, shape, format, exponent, group, checker);
  for (std::size_t i = 0; i < group.values.size(); ++i) {
    const double exact = group.values[i], slack = group.slack[i];
    const std::int64_t index = begin + static_cast<std::int64_t>(i);
    const double code = ValueAt(moment.codes, index);
    if (exact == 0.0 || absmax == 0.0) {
      checker.Near(what, index, code, 0.0, 0.0);
      continue;
    }
    const double smallest_code = 2.0 * HalfUlp(format, 0.0);
    const double ratio = std::min(std::abs(exact) / absmax, 1.0);
    const double expanded = std::max(LargestOf(format) * std::pow(ratio, exponent), smallest_code);
    const double relative = exponent * slack / std::abs(exact) + (2.0 * exponent + 32.0) * 0x1p-22;
    const double off = expanded * std::expm1(std::min(relative, 50.0));
    checker.Near(what, index, std::abs(code), expanded, HalfUlp(format, expanded + off) + off);
    if (slack < std::abs(exact)) checker.True("the sign of a code", (code > 0.0) == (exact > 0.0));
  }
}

/// A tensor against double precision, group by group.
void CheckTensor(const CoatShape& shape, std::size_t t, const Operands& before, const Operands& after,
                 Checker& checker) {
  const AdamWSettings s = SettingsOf(shape);
  const double correction1 = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
  const double root_correction = std::sqrt(1.0 - std::pow(s.beta2, static_cast<double>(s.step)));
  const double grad_scale = ValueAt(before["grad_scale"], static_cast<std::int64_t>(t));
  const ConstTensorView grads = before[NameOf("grad", t)], old_p = before[NameOf("param", t)];
  const ConstTensorView got_p = after[NameOf("param", t)];
  const ExpandedMoment old_m = MomentOf(before, NameOf("exp_avg", t), shape.expand_first);
  const ExpandedMoment old_v = MomentOf(before, NameOf("exp_avg_sq", t), shape.expand_second);
  const ExpandedMoment got_m = MomentOf(after, NameOf("exp_avg", t), shape.expand_first);
  const ExpandedMoment got_v = MomentOf(after, NameOf("exp_avg_sq", t), shape.expand_second);
  for (std::int64_t begin = 0; begin < grads.elements(); begin += shape.group) {
    ExactGroup ms, vs;
    for (std::int64_t i = begin; i < std::min(begin + shape.group, grads.elements()); ++i) {
      const double g = ValueAt(grads, i) * grad_scale;
      const double p = ValueAt(old_p, i);
      const double kept_m = s.beta1 * ExactElement(old_m, shape.group, i);
      const double kept_v = s.beta2 * ExactElement(old_v, shape.group, i);
      const double largest = std::numeric_limits<float>::max();
      const double m = kept_m + (1.0 - s.beta1) * g;
      const double v = g * g > largest ? largest : std::min(kept_v + (1.0 - s.beta2) * g * g, largest);
      const double m_slack = kMomentError * std::abs(kept_m) + 6 * kFloatRoundoff * std::abs(g) + kTiny;
      const double v_slack = kMomentError * v + kTiny;
      const double denominator = std::sqrt(v) / root_correction + s.eps;
      const double new_p =
          p * (1.0 - s.learning_rate * WeightDecayOf(t)) - s.learning_rate / correction1 * (m / denominator);
      const double root_slack = std::sqrt(v + v_slack) - std::sqrt(v);
      const double error = s.learning_rate / correction1 / denominator *
                           (m_slack + std::abs(m) * (1e-6 + root_slack / root_correction / denominator));
      checker.Near("param", i, ValueAt(got_p, i), new_p, error + 3 * kFloatRoundoff * (std::abs(p) + 1e-2));
      ms.Add(m, m_slack);
      vs.Add(v, v_slack);
    }
    CheckGroup("exp_avg", shape, got_m, begin, ms, checker);
    CheckGroup("exp_avg_sq", shape, got_v, begin, vs, checker);
  }
}

void Call(Context& ctx, const CoatShape& shape, const Operands& operands) {
  std::vector<CoatAdamWTensor> tensors;
  for (std::size_t t = 0; t < shape.elements.size(); ++t) {
    tensors.push_back({.param = operands[NameOf("param", t)],
                       .grad = operands[NameOf("grad", t)],
                       .exp_avg = MomentOf(operands, NameOf("exp_avg", t), shape.expand_first),
                       .exp_avg_sq = MomentOf(operands, NameOf("exp_avg_sq", t), shape.expand_second),
                       .grad_scale = operands["grad_scale"].Rows(static_cast<std::int64_t>(t), 1),
                       .weight_decay = WeightDecayOf(t)});
  }
  CoatAdamWArgs args = {
      .tensors = tensors, .group = shape.group, .expand_min = shape.expand_min, .settings = SettingsOf(shape)};
  if (shape.absmax) args.absmax = operands["absmax"];
  CoatAdamW(ctx, args);
}

OpCase CaseOf(const CoatShape& shape) {
  OpCase op;
  op.name =
      fmt::format("CoatAdamW/n={}{},G={},grad={},{}{},{}{},{}{},{},step={},expand_min={}", shape.elements[0],
                  shape.elements.size() == 1 ? "" : fmt::format(" of {}", shape.elements.size()), shape.group,
                  NameOf(shape.grad), shape.constant ? "constant " : "", NameOf(shape.data), NameOf(shape.first),
                  shape.expand_first ? " expanded" : "", NameOf(shape.second), shape.expand_second ? " expanded" : "",
                  shape.start == Start::kZeros ? "zeros" : "any codes", shape.step, shape.expand_min);
  op.make = [shape](std::uint64_t seed) { return MakeOperands(shape, seed); };
  op.call = [shape](Context& ctx, const Operands& operands) { Call(ctx, shape, operands); };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::size_t t = 0; t < shape.elements.size(); ++t) {
      CheckTensor(shape, t, before, after, checker);
      if (shape.absmax) {
        const double largest = AbsMaxOf(after[NameOf("param", t)]);
        checker.Near("absmax", static_cast<std::int64_t>(t), ValueAt(after["absmax"], static_cast<std::int64_t>(t)),
                     largest, 0.0);
      }
    }
  };
  if (shape.perf) op.bytes = static_cast<double>(shape.elements[0] * (8 + SizeOf(shape.grad) + 4));
  return op;
}

/// More tensors than a kernel takes at once, of up to `longest` elements.
std::vector<std::int64_t> ManyTensors(std::int64_t count, std::int64_t longest) {
  std::vector<std::int64_t> elements;
  for (std::int64_t t = 0; t < count; ++t) elements.push_back(1 + t * 137 % longest);
  return elements;
}

}  // namespace

std::vector<OpCase> CoatAdamWCases() {
  constexpr DType kE4M3 = DType::kE4M3;
  constexpr DType kE5M2 = DType::kE5M2;
  constexpr DType kBF16 = DType::kBF16;
  const CoatShape shapes[] = {
      {.elements = {1}, .start = Start::kZeros, .step = 1},
      {.elements = {1}, .absmax = false},
      {.elements = {31}, .group = 32, .grad = kBF16},
      {.elements = {127}, .data = Data::kHeavyTails, .start = Start::kZeros, .step = 1},
      {.elements = {128}, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = {129}, .data = Data::kZeroGroups, .start = Start::kZeros, .step = 1},
      {.elements = {997}, .group = 96, .data = Data::kOutliers, .first = kE5M2, .second = kE5M2},
      {.elements = {997}, .group = 256, .data = Data::kOutliers, .first = kE4M3, .second = kE5M2},
      {.elements = {4789}, .group = 160, .data = Data::kTiny, .step = 1000},
      {.elements = {1009}, .data = Data::kTiny, .start = Start::kZeros, .step = 1},
      {.elements = {1009}, .data = Data::kHuge},
      {.elements = {1009}, .group = 64, .data = Data::kHuge, .start = Start::kZeros, .step = 1},
      {.elements = {300}, .data = Data::kNormal, .start = Start::kZeros, .step = 1, .constant = true},
      {.elements = {640}, .group = 64, .data = Data::kHeavyTails, .expand_first = false, .expand_second = false},
      {.elements = {641}, .group = 64, .first = kE5M2, .expand_first = false, .start = Start::kZeros, .step = 1},
      {.elements = {641}, .data = Data::kHeavyTails, .second = kE5M2, .expand_second = false},
      {.elements = {2000}, .data = Data::kHeavyTails, .expand_min = 1},
      {.elements = {2000}, .data = Data::kHeavyTails, .expand_min = 3},
      {.elements = {100003}, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = {512}, .data = Data::kHeavyTails, .second = kE5M2},
      {.elements = {4 * 512 + 3 * 128}, .grad = kBF16, .data = Data::kOutliers, .first = kE5M2},
      {.elements = {5000}, .data = Data::kTiny, .start = Start::kZeros, .step = 1, .absmax = false},
      {.elements = {5120}, .data = Data::kHuge, .first = kE5M2, .second = kE5M2},
      {.elements = {5120}, .grad = kBF16, .data = Data::kZeroGroups},
      {.elements = {2048}, .start = Start::kZeros, .step = 1, .constant = true},
      {.elements = {2048, 0, 777, 128, 512, 1}, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = ManyTensors(400, 1500), .start = Start::kZeros, .step = 1},
      // More runs of groups than warps of a GPU, which take several in turn, of one tensor and the next.
      {.elements = {600'000, 700'000}, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = {32 * 4001}, .group = 32, .data = Data::kHeavyTails},
      {.elements = {1 << 20}, .data = Data::kNormal, .step = 100, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const CoatShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
