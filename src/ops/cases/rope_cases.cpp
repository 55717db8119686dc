#include "ops/rope.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>

#include "numerics/bfloat16.h"
#include "ops/cases/complex_step.h"
#include "ops/cases/head_sizes.h"
#include "ops/cases/op_case.h"
#include "ops/cases/rotary_table.h"

namespace coat {

namespace {

constexpr double kEpsilon = 0x1p-23;
constexpr double kTheta = 10000.0;

struct RopeShape {
  DType dtype = DType::kF32;
  std::int64_t sequences = 1, positions = 1, heads = 1, kv_heads = 1, head_size = 2;
  float clip = 0.0f;
  Data data = Data::kNormal;
  bool mask = false;    // the backward op's; the forward op writes one if there is a clip
  bool absmax = false;  // of the backward op

  std::int64_t tokens() const { return sequences * positions; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t rotated() const { return (heads + kv_heads) * head_size; }
  std::string Name() const {
    return fmt::format("{},B={},T={},H={},Hk={},K={},clip={},{}{}{}", NameOf(dtype), sequences, positions, heads,
                       kv_heads, head_size, clip, NameOf(data), mask ? ",mask" : "", absmax ? ",absmax" : "");
  }
};

void Set(TensorView x, std::int64_t index, float value) {
  if (x.dtype() == DType::kF32) x.As<float>()[index] = value;
  if (x.dtype() == DType::kBF16) x.As<BFloat16>()[index] = ToBFloat16(value);
}

/// The turn of one element: partner's index in the row, and the factors of both. direction -1 turns back.
struct Turn {
  std::int64_t partner = 0;
  double own_factor = 1.0, partner_factor = 0.0;
};

Turn TurnOf(const RopeShape& shape, ConstTensorView table, std::int64_t token, std::int64_t column, double direction) {
  if (column >= shape.rotated()) return {column, 1.0, 0.0};
  const std::int64_t half = shape.head_size / 2;
  const std::int64_t in_head = column % shape.head_size;
  const std::int64_t row = token % shape.positions * shape.head_size;
  const double cosine = ValueAt(table, row + in_head % half);
  const double sine = direction * ValueAt(table, row + half + in_head % half);
  return in_head < half ? Turn{column + half, cosine, -sine} : Turn{column - half, cosine, sine};
}

/// Two products and their sum in float32, then one rounding to the tensor's type.
double RoundingBound(DType dtype, double own, double partner) {
  const double error = kEpsilon * (std::abs(own) + std::abs(partner)) + 2.0 * HalfUlp(DType::kF32, 0.0);
  return error + HalfUlp(dtype, std::abs(own + partner) + error);
}

bool WithinClip(double x, double clip) {
  return std::isnan(x) || std::abs(x) <= clip;
}

double Clamped(double x, double clip) {
  return clip == 0.0 ? x : std::min(std::max(x, -clip), clip);
}

void CheckForward(const RopeShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const ConstTensorView x = before["qkv"];
  const auto clamped = [&](std::int64_t i) {
    return std::isnan(ValueAt(x, i)) ? ValueAt(x, i) : Clamped(ValueAt(x, i), shape.clip);
  };
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const std::int64_t row = i / shape.width() * shape.width();
    const Turn turn = TurnOf(shape, before["table"], i / shape.width(), i - row, 1.0);
    const double own = turn.own_factor * clamped(i);
    const bool turned = turn.partner != i - row;
    const double partner = turned ? turn.partner_factor * clamped(row + turn.partner) : 0.0;
    const bool exact = !turned && (shape.clip == 0.0f || shape.dtype == DType::kF32);
    checker.Near("qkv", i, ValueAt(after["qkv"], i), own + partner,
                 exact ? 0.0 : RoundingBound(shape.dtype, own, partner));
    if (shape.clip == 0.0f) continue;
    const std::uint8_t byte = after["clip_mask"].As<std::uint8_t>()[i / 8];
    checker.True(fmt::format("clip_mask's bit of {}", ValueAt(x, i)),
                 (byte >> (i % 8) & 1) == WithinClip(ValueAt(x, i), shape.clip));
  }
}

OpCase ForwardCase(const RopeShape& shape) {
  OpCase op;
  op.name = "RopeForward/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    const TensorView qkv = operands.InOut("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    AddRotaryTable(operands, shape.positions, shape.head_size, kTheta, seed);
    if (shape.clip == 0.0f) return operands;
    operands.Output("clip_mask", {shape.tokens(), shape.width() / 8}, DType::kU8);
    const float beyond = shape.dtype == DType::kF32 ? std::nextafter(shape.clip, 1e9f) : shape.clip * 1.0078125f;
    const float specials[] = {shape.clip,
                              -shape.clip,
                              beyond,
                              -beyond,
                              -0.0f,
                              1e30f,
                              -1e30f,
                              std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()};
    const std::int64_t elements = qkv.elements();
    for (std::int64_t i = 0; i < 9; ++i) {
      Set(qkv, (i * 7 + 1) % elements, specials[i]);
      Set(qkv, elements - 1 - i % elements, specials[i]);
    }
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    RopeForward(ctx, {.qkv = operands["qkv"],
                      .table = operands["table"],
                      .clip_mask = shape.clip == 0.0f ? TensorView() : operands["clip_mask"],
                      .heads = shape.heads,
                      .kv_heads = shape.kv_heads,
                      .clip = shape.clip});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckForward(shape, before, after, checker);
  };
  op.bitwise = true;
  op.bytes = 2.0 * static_cast<double>(shape.tokens() * shape.width() * SizeOf(shape.dtype));
  op.flops = 3.0 * static_cast<double>(shape.tokens() * shape.rotated());
  return op;
}

void CheckBackward(const RopeShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const ConstTensorView g = before["d_qkv"];
  double largest = 0.0;
  for (std::int64_t i = 0; i < g.elements(); ++i) {
    const std::int64_t row = i / shape.width() * shape.width();
    const double got = ValueAt(after["d_qkv"], i);
    largest = std::max(largest, std::abs(got));
    if (shape.mask && (before["clip_mask"].As<std::uint8_t>()[i / 8] >> (i % 8) & 1) == 0) {
      checker.Near("d_qkv", i, got, 0.0, 0.0);
      continue;
    }
    const Turn turn = TurnOf(shape, before["table"], i / shape.width(), i - row, -1.0);
    const double own = turn.own_factor * ValueAt(g, i);
    const double partner = turn.partner_factor * ValueAt(g, row + turn.partner);
    checker.Near("d_qkv", i, got, own + partner,
                 turn.partner == i - row ? 0.0 : RoundingBound(shape.dtype, own, partner));
  }
  if (shape.absmax) checker.Near("absmax", 0, ValueAt(after["absmax"], 0), largest, 0.0);
}

OpCase BackwardCase(const RopeShape& shape) {
  OpCase op;
  op.name = "RopeBackward/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    const TensorView d_qkv = operands.InOut("d_qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    AddRotaryTable(operands, shape.positions, shape.head_size, kTheta, seed);
    if (shape.mask) operands.Input("clip_mask", {shape.tokens(), shape.width() / 8}, DType::kU8, seed);
    if (!shape.absmax) return operands;
    // The largest gradient at an end: the first, or with a mask the last, which must not be clipped.
    Set(d_qkv, shape.mask ? d_qkv.elements() - 1 : 0, -1e9f);
    if (shape.mask) operands["clip_mask"].As<std::uint8_t>()[d_qkv.elements() / 8 - 1] |= 0x80;
    operands.Output("absmax", {1}, DType::kF32);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    RopeBackward(ctx, {.d_qkv = operands["d_qkv"],
                       .table = operands["table"],
                       .clip_mask = shape.mask ? operands["clip_mask"] : TensorView(),
                       .absmax = shape.absmax ? operands["absmax"] : TensorView(),
                       .heads = shape.heads,
                       .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckBackward(shape, before, after, checker);
  };
  op.bitwise = true;
  op.bytes = 2.0 * static_cast<double>(shape.tokens() * shape.width() * SizeOf(shape.dtype));
  op.flops = 3.0 * static_cast<double>(shape.tokens() * shape.rotated());
  return op;
}

/// RopeBackward after RopeForward, against complex steps of sum(g * RopeForward(qkv)).
OpCase DerivativeCase(const RopeShape& shape) {
  OpCase op = BackwardCase(shape);
  op.name = "RopeBackward/derivative," + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    operands.InOut("d_qkv", {shape.tokens(), shape.width()}, shape.dtype, seed);
    AddRotaryTable(operands, shape.positions, shape.head_size, kTheta, seed);
    const ConstTensorView qkv = operands.Input("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    const TensorView mask = operands.Input("clip_mask", {shape.tokens(), shape.width() / 8}, DType::kU8, seed);
    std::fill_n(mask.As<std::uint8_t>(), mask.elements(), std::uint8_t{0});
    for (std::int64_t i = 0; i < qkv.elements(); ++i) {
      const int bit = WithinClip(ValueAt(qkv, i), shape.clip) ? 1 : 0;
      mask.As<std::uint8_t>()[i / 8] |= static_cast<std::uint8_t>(bit << (i % 8));
    }
    return operands;
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    const ConstTensorView g = before["d_qkv"];
    std::vector<double> x(static_cast<std::size_t>(g.elements()));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = ValueAt(before["qkv"], static_cast<std::int64_t>(i));
    const auto objective = [&](const std::vector<std::complex<double>>& qkv) {
      const auto clamped = [&](std::int64_t i) -> std::complex<double> {
        const std::complex<double> value = qkv[static_cast<std::size_t>(i)];
        return std::abs(value.real()) <= shape.clip ? value : std::copysign(shape.clip, value.real());
      };
      std::complex<double> sum = 0.0;
      for (std::int64_t i = 0; i < g.elements(); ++i) {
        const std::int64_t row = i / shape.width() * shape.width();
        const Turn turn = TurnOf(shape, before["table"], i / shape.width(), i - row, 1.0);
        sum += ValueAt(g, i) * (turn.own_factor * clamped(i) + turn.partner_factor * clamped(row + turn.partner));
      }
      return sum;
    };
    const std::vector<double> exact = ComplexStepGradient(x, objective);
    for (std::int64_t i = 0; i < g.elements(); ++i) {
      const std::int64_t row = i / shape.width() * shape.width();
      const std::int64_t partner = row + TurnOf(shape, before["table"], i / shape.width(), i - row, 1.0).partner;
      checker.Near("d_qkv", i, ValueAt(after["d_qkv"], i), exact[static_cast<std::size_t>(i)],
                   RoundingBound(shape.dtype, std::abs(ValueAt(g, i)), std::abs(ValueAt(g, partner))));
    }
  };
  op.bytes = op.flops = 0.0;
  return op;
}

/// cos and sin against double precision. An angle is off by the roundings of its exponent, power, reciprocal and
/// product.
OpCase TableCase(std::int64_t positions, std::int64_t head_size, double theta) {
  OpCase op;
  op.name = fmt::format("FillRotaryTable/T={},K={},theta={}", positions, head_size, theta);
  op.make = [=](std::uint64_t) {
    Operands operands;
    operands.Output("table", {positions, head_size}, DType::kF32);
    return operands;
  };
  op.call = [=](Context&, const Operands& operands) { FillRotaryTable(operands["table"], theta); };
  op.check = [=](const Operands&, const Operands& after, Checker& checker) {
    const std::int64_t half = head_size / 2;
    for (std::int64_t i = 0; i < positions * head_size; ++i) {
      const std::int64_t column = i % head_size;
      const double exponent = static_cast<double>(column % half) / static_cast<double>(half);
      const double angle = static_cast<double>(i / head_size) * std::pow(theta, -exponent);
      const double exact = column < half ? std::cos(angle) : std::sin(angle);
      const double angle_error = angle * 0.51 * kEpsilon * (3.0 + exponent * std::log(theta));
      checker.Near("table", i, ValueAt(after["table"], i), exact, angle_error + HalfUlp(DType::kF32, exact));
    }
  };
  op.bitwise = true;
  return op;
}

}  // namespace

std::vector<OpCase> RopeCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  constexpr auto Of = WithHeadSizes<RopeShape>;
  const RopeShape tiny_run = Of({8, 256, 4, 4, 64}, {.dtype = kBF16});
  RopeShape clipped_run = tiny_run;
  clipped_run.clip = 2.0f;
  RopeShape masked_run = tiny_run;
  masked_run.mask = masked_run.absmax = true;
  const RopeShape shapes[] = {
      Of({1, 1, 1, 1, 2}, {.dtype = kF32}),
      Of({3, 7, 3, 1, 6}, {.dtype = kF32}),
      Of({2, 37, 4, 2, 34}, {.dtype = kBF16, .data = Data::kHeavyTails}),
      Of({1, 19, 2, 2, 16}, {.dtype = kF32, .data = Data::kTiny}),
      Of({1, 19, 2, 2, 16}, {.dtype = kBF16, .data = Data::kHuge}),
      Of({2, 9, 3, 1, 128}, {.dtype = kBF16}),
      Of({2, 11, 5, 2, 80}, {.dtype = kF32}),
      // More tokens than a device has threads for.
      Of({200'000, 3, 1, 1, 2}, {.dtype = kBF16}),
      tiny_run,
  };
  const RopeShape clipped[] = {
      Of({2, 5, 2, 1, 6}, {.dtype = kF32, .clip = 0.5f}),
      Of({1, 1, 1, 1, 8}, {.dtype = kF32, .clip = 0.3f}),
      Of({2, 33, 6, 2, 20}, {.dtype = kBF16, .clip = 8.0f, .data = Data::kOutliers}),
      Of({1, 17, 2, 2, 8}, {.dtype = kBF16, .clip = 0.1f}),
      clipped_run,
  };
  const RopeShape masked[] = {
      Of({2, 5, 2, 1, 6}, {.dtype = kF32, .mask = true, .absmax = true}),
      Of({2, 33, 6, 2, 20}, {.dtype = kBF16, .data = Data::kOutliers, .mask = true}),
      Of({3, 13, 2, 2, 10}, {.dtype = kF32, .data = Data::kHeavyTails, .absmax = true}),
      masked_run,
  };
  std::vector<OpCase> cases;
  for (const RopeShape& shape : shapes) {
    cases.push_back(ForwardCase(shape));
    cases.push_back(BackwardCase(shape));
  }
  for (const RopeShape& shape : clipped) cases.push_back(ForwardCase(shape));
  for (const RopeShape& shape : masked) cases.push_back(BackwardCase(shape));
  cases.push_back(DerivativeCase(Of({2, 3, 2, 1, 4}, {.dtype = kF32, .clip = 0.7f, .mask = true})));
  cases.push_back(TableCase(1, 2, 10000.0));
  cases.push_back(TableCase(300, 6, 500000.0));
  cases.push_back(TableCase(2048, 128, 10000.0));
  return cases;
}

}  // namespace coat
