#include "ops/coat_adamw.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ops/visit.h"
#include "numerics/expansion.h"
#include "ops/adamw.h"
#include "ops/format_reference.h"
#include "ops/op_case.h"

namespace coat {

namespace {

/// What the groups hold before the update.
enum class Start : std::uint8_t { kZeros, kAnyCodes };

struct CoatShape {
  std::int64_t elements = 1;
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
  bool constant = false;  // all gradients alike
  bool perf = false;

  std::int64_t Groups() const { return (elements + group - 1) / group; }
};

AdamWSettings SettingsOf(const CoatShape& shape) {
  return {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .step = shape.step};
}

void MakeMoment(Operands& operands, const std::string& name, const CoatShape& shape, DType format, bool expanded,
                bool is_signed, std::uint64_t seed) {
  const TensorView codes = operands.InOut(name, {shape.elements}, format, seed);
  const TensorView absmax = operands.InOut(name + ".absmax", {shape.Groups()}, DType::kF32, seed, shape.data);
  const TensorView exponent = operands.InOut(name + ".exponent", {expanded ? shape.Groups() : 1}, DType::kF32, seed);
  if (shape.start == Start::kZeros) {
    for (const TensorView& tensor : {codes, absmax, exponent}) {
      std::memset(tensor.data(), 0, static_cast<std::size_t>(tensor.bytes()));
    }
    return;
  }
  for (std::int64_t i = 0; i < shape.elements; ++i) {
    if (!is_signed) codes.As<std::uint8_t>()[i] &= 0x7f;
  }
  for (std::int64_t g = 0; g < shape.Groups(); ++g) absmax.As<float>()[g] = std::abs(absmax.As<float>()[g]);
  for (std::int64_t g = 0; g < exponent.elements(); ++g) {
    const float steps = std::floor(std::abs(exponent.As<float>()[g]) * 10.0f) + 8.0f;
    exponent.As<float>()[g] = steps / static_cast<float>(shape.expand_min);
  }
}

Operands MakeOperands(const CoatShape& shape, std::uint64_t seed) {
  Operands operands;
  operands.InOut("param", {shape.elements}, DType::kF32, seed);
  const TensorView grad = operands.Input("grad", {shape.elements}, shape.grad, seed, shape.data);
  if (shape.constant) {
    const std::int64_t size = SizeOf(shape.grad);
    for (std::int64_t i = 1; i < shape.elements; ++i) {
      std::memcpy(grad.As<std::byte>() + i * size, grad.data(), static_cast<std::size_t>(size));
    }
  }
  MakeMoment(operands, "exp_avg", shape, shape.first, shape.expand_first, true, seed);
  MakeMoment(operands, "exp_avg_sq", shape, shape.second, shape.expand_second, false, seed);
  operands.Input("grad_scale", {1}, DType::kF32, seed).As<float>()[0] = 0.3f;
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

/// Decoding and updating in float32: the exponent of a power is up to 71, and its roundings count relative to that.
constexpr double kMomentError = 1e-5;
constexpr double kTiny = 0x1p-147;

/// A group after the update against the exact new moments: its largest magnitude, its exponent, its codes.
void CheckGroup(std::string_view what, const CoatShape& shape, const ExpandedMoment& moment, std::int64_t begin,
                const std::vector<double>& exact, const std::vector<double>& slack, Checker& checker) {
  const DType format = moment.codes.dtype();
  const std::int64_t g = begin / shape.group;
  double largest = 0.0, largest_slack = 0.0, smallest = INFINITY;
  bool exact_zeros = true;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    if (std::abs(exact[i]) > largest) largest_slack = slack[i];
    largest = std::max(largest, std::abs(exact[i]));
    if (exact[i] != 0.0) smallest = std::min(smallest, std::abs(exact[i]));
    exact_zeros = exact_zeros && (exact[i] == 0.0 || std::abs(exact[i]) > 100.0 * slack[i]);
  }
  const double absmax = ValueAt(moment.absmax, g);
  checker.Near(what, g, absmax, largest, largest_slack + kTiny);

  double exponent = 1.0;
  if (moment.exponent) {
    exponent = ValueAt(moment.exponent, g);
    checker.True(fmt::format("{} exponent {} is at least one step", what, exponent),
                 exponent >= 1.0 / static_cast<double>(shape.expand_min));
    // Where roundings might decide which magnitude is the smallest, or what it is, any exponent may be right.
    const double range = std::min(std::log2(largest / smallest), 64.0);
    if (exact_zeros && largest > 0.0 && range > 1e-2) {
      const double wanted = std::log2(LargestOf(format) * LargestOf(format) / 2.0) / range;
      const double steps = wanted * static_cast<double>(shape.expand_min);
      const double error = steps * (2e-5 / range + 1e-5);
      const double got = exponent * static_cast<double>(shape.expand_min);
      checker.True(fmt::format("{} exponent {} where {} is wanted", what, exponent, wanted),
                   got >= std::max(std::floor(steps - error), 1.0) - 1e-6 * got &&
                       got <= std::max(std::floor(steps + error), 1.0) + 1e-6 * got);
    }
  }
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const std::int64_t index = begin + static_cast<std::int64_t>(i);
    const double code = ValueAt(moment.codes, index);
    if (exact[i] == 0.0 || absmax == 0.0) {
      checker.Near(what, index, code, 0.0, 0.0);
      continue;
    }
    const double smallest_code = 2.0 * HalfUlp(format, 0.0);
    const double ratio = std::min(std::abs(exact[i]) / absmax, 1.0);
    const double expanded = std::max(LargestOf(format) * std::pow(ratio, exponent), smallest_code);
    const double relative = exponent * (slack[i] / std::abs(exact[i]) + 1e-5);
    const double error = HalfUlp(format, expanded) * (1.0 + 1e-3) + expanded * std::expm1(std::min(relative, 50.0));
    checker.Near(what, index, std::abs(code), expanded, error);
    if (slack[i] < std::abs(exact[i])) checker.True("the sign of a code", (code > 0.0) == (exact[i] > 0.0));
  }
}

/// Against double precision, group by group.
void CheckGroups(const CoatShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const AdamWSettings s = SettingsOf(shape);
  const double correction1 = 1.0 - std::pow(s.beta1, static_cast<double>(s.step));
  const double root_correction = std::sqrt(1.0 - std::pow(s.beta2, static_cast<double>(s.step)));
  const ExpandedMoment old_m = MomentOf(before, "exp_avg", shape.expand_first);
  const ExpandedMoment old_v = MomentOf(before, "exp_avg_sq", shape.expand_second);
  for (std::int64_t begin = 0; begin < shape.elements; begin += shape.group) {
    std::vector<double> m, m_slack, v, v_slack;
    for (std::int64_t i = begin; i < std::min(begin + shape.group, shape.elements); ++i) {
      const double g = ValueAt(before["grad"], i) * ValueAt(before["grad_scale"], 0);
      const double p = ValueAt(before["param"], i);
      const double kept_m = s.beta1 * ExactElement(old_m, shape.group, i);
      const double kept_v = s.beta2 * ExactElement(old_v, shape.group, i);
      const double largest = std::numeric_limits<float>::max();
      m.push_back(kept_m + (1.0 - s.beta1) * g);
      v.push_back(g * g > largest ? largest : std::min(kept_v + (1.0 - s.beta2) * g * g, largest));
      m_slack.push_back(kMomentError * (std::abs(kept_m) + 0.1 * std::abs(g)) + kTiny);
      v_slack.push_back(kMomentError * v.back() + kTiny);
      const double denominator = std::sqrt(v.back()) / root_correction + s.eps;
      const double new_p =
          p * (1.0 - s.learning_rate * s.weight_decay) - s.learning_rate / correction1 * (m.back() / denominator);
      const double root_slack = std::sqrt(v.back() + v_slack.back()) - std::sqrt(v.back());
      const double error = s.learning_rate / correction1 / denominator *
                           (m_slack.back() + std::abs(m.back()) * (1e-6 + root_slack / root_correction / denominator));
      checker.Near("param", i, ValueAt(after["param"], i), new_p, error + 3 * kFloatRoundoff * (std::abs(p) + 1e-2));
    }
    CheckGroup("exp_avg", shape, MomentOf(after, "exp_avg", shape.expand_first), begin, m, m_slack, checker);
    CheckGroup("exp_avg_sq", shape, MomentOf(after, "exp_avg_sq", shape.expand_second), begin, v, v_slack, checker);
  }
}

void DecodeAll(const ExpandedMoment& moment, std::int64_t group, TensorView values) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() {
    for (std::int64_t i = 0; i < values.elements(); ++i) {
      const std::uint8_t code = moment.codes.As<std::uint8_t>()[i];
      const float absmax = moment.absmax.As<float>()[i / group];
      values.As<float>()[i] = moment.exponent
                                  ? DecodeExpanded<F>(code, absmax, 1.0f / moment.exponent.As<float>()[i / group])
                                  : DecodeUnexpanded<F>(code, absmax);
    }
  });
}

void EncodeAll(const float* values, const CoatShape& shape, const ExpandedMoment& moment) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() {
    for (std::int64_t g = 0; g < shape.Groups(); ++g) {
      const std::int64_t end = std::min((g + 1) * shape.group, shape.elements);
      float absmax = 0.0f;
      for (std::int64_t i = g * shape.group; i < end; ++i) absmax = std::max(absmax, std::abs(values[i]));
      float absmin = absmax;
      for (std::int64_t i = g * shape.group; i < end; ++i) {
        if (values[i] != 0.0f) absmin = std::min(absmin, std::abs(values[i]));
      }
      const float exponent = ExpansionExponent<F>(absmax, absmin, static_cast<float>(shape.expand_min));
      moment.absmax.As<float>()[g] = absmax;
      if (moment.exponent) moment.exponent.As<float>()[g] = exponent;
      for (std::int64_t i = g * shape.group; i < end; ++i) {
        moment.codes.As<std::uint8_t>()[i] = moment.exponent ? EncodeExpanded<F>(values[i], SplitLog2(absmax), exponent)
                                                             : EncodeUnexpanded<F>(values[i], absmax);
      }
    }
  });
}

/// The same bytes as the three steps that the op fuses: decode, the op AdamW, encode.
void CheckComposition(const CoatShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const Operands composed = before.Clone();
  const ExpandedMoment first = MomentOf(composed, "exp_avg", shape.expand_first);
  const ExpandedMoment second = MomentOf(composed, "exp_avg_sq", shape.expand_second);
  Operands plain;
  const TensorView m = plain.Output("m", {shape.elements}, DType::kF32);
  const TensorView v = plain.Output("v", {shape.elements}, DType::kF32);
  DecodeAll(first, shape.group, m);
  DecodeAll(second, shape.group, v);
  Context ctx(DeviceKind::kCpu, 1);
  AdamW(ctx, {.param = composed["param"],
              .grad = composed["grad"],
              .exp_avg = m,
              .exp_avg_sq = v,
              .grad_scale = composed["grad_scale"],
              .settings = SettingsOf(shape)});
  EncodeAll(m.As<float>(), shape, first);
  EncodeAll(v.As<float>(), shape, second);
  for (const Operands::Item& item : composed.items()) checker.Same(item.name, after[item.name], item.tensor);
}

OpCase CaseOf(const CoatShape& shape) {
  OpCase op;
  op.name =
      fmt::format("CoatAdamW/n={},G={},grad={},{}{},{}{},{}{},{},step={},expand_min={}", shape.elements, shape.group,
                  NameOf(shape.grad), shape.constant ? "constant " : "", NameOf(shape.data), NameOf(shape.first),
                  shape.expand_first ? " expanded" : "", NameOf(shape.second), shape.expand_second ? " expanded" : "",
                  shape.start == Start::kZeros ? "zeros" : "any codes", shape.step, shape.expand_min);
  op.make = [shape](std::uint64_t seed) { return MakeOperands(shape, seed); };
  op.call = [shape](Context& ctx, const Operands& operands) {
    CoatAdamW(ctx, {.param = operands["param"],
                    .grad = operands["grad"],
                    .exp_avg = MomentOf(operands, "exp_avg", shape.expand_first),
                    .exp_avg_sq = MomentOf(operands, "exp_avg_sq", shape.expand_second),
                    .group = shape.group,
                    .expand_min = shape.expand_min,
                    .grad_scale = operands["grad_scale"],
                    .settings = SettingsOf(shape)});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckGroups(shape, before, after, checker);
    CheckComposition(shape, before, after, checker);
  };
  op.bitwise = true;
  if (shape.perf) op.bytes = static_cast<double>(shape.elements * (8 + SizeOf(shape.grad) + 4));
  return op;
}

}  // namespace

std::vector<OpCase> CoatAdamWCases() {
  constexpr DType kE4M3 = DType::kE4M3;
  constexpr DType kE5M2 = DType::kE5M2;
  constexpr DType kBF16 = DType::kBF16;
  const CoatShape shapes[] = {
      {.elements = 1, .start = Start::kZeros, .step = 1},
      {.elements = 1},
      {.elements = 31, .group = 32, .grad = kBF16},
      {.elements = 127, .data = Data::kHeavyTails, .start = Start::kZeros, .step = 1},
      {.elements = 128, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = 129, .data = Data::kZeroGroups, .start = Start::kZeros, .step = 1},
      {.elements = 997, .group = 96, .data = Data::kOutliers, .first = kE5M2, .second = kE5M2},
      {.elements = 997, .group = 256, .data = Data::kOutliers, .first = kE4M3, .second = kE5M2},
      {.elements = 4789, .group = 160, .data = Data::kTiny, .step = 1000},
      {.elements = 1009, .data = Data::kTiny, .start = Start::kZeros, .step = 1},
      {.elements = 1009, .data = Data::kHuge},
      {.elements = 1009, .group = 64, .data = Data::kHuge, .start = Start::kZeros, .step = 1},
      {.elements = 300, .data = Data::kNormal, .start = Start::kZeros, .step = 1, .constant = true},
      {.elements = 640, .group = 64, .data = Data::kHeavyTails, .expand_first = false, .expand_second = false},
      {.elements = 641, .group = 64, .first = kE5M2, .expand_first = false, .start = Start::kZeros, .step = 1},
      {.elements = 641, .data = Data::kHeavyTails, .second = kE5M2, .expand_second = false},
      {.elements = 2000, .data = Data::kHeavyTails, .expand_min = 1},
      {.elements = 2000, .data = Data::kHeavyTails, .expand_min = 3},
      {.elements = 100003, .grad = kBF16, .data = Data::kHeavyTails},
      {.elements = 1 << 20, .data = Data::kNormal, .step = 100, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const CoatShape& shape : shapes) cases.push_back(CaseOf(shape));
  return cases;
}

}  // namespace coat
