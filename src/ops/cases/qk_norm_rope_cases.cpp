#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/cases/qk_norm_rope_setup.h"
#include "ops/cases/rms_norm_rows.h"
#include "ops/qk_norm_rope.h"

namespace coat {

namespace {

void CheckPart(const QkSetup& setup, const QkPart& part, const Operands& before, const Operands& after,
               std::int64_t row, Checker& checker) {
  const ConstTensorView x = before["qkv"];
  const ConstTensorView rotated = after[setup.in_place ? "qkv" : "rotated"];
  const std::int64_t first = row * setup.width() + part.first;
  const float rstd = after[part.rstd].As<float>()[row];
  const double exact_rstd = CheckRstd(part.rstd, x, first, part.width, setup.eps, row, rstd, checker);
  const float* weight = before[part.weight].As<float>();
  const auto exact = [&](std::int64_t i) {
    return static_cast<double>(weight[i]) * (ValueAt(x, first + i) * exact_rstd);
  };
  const auto in_float = [&](std::int64_t i) { return weight[i] * (static_cast<float>(ValueAt(x, first + i)) * rstd); };
  for (std::int64_t i = 0; i < part.width; ++i) {
    const double got = ValueAt(rotated, first + i);
    const QkTurn turn = TurnOf(setup, before["table"], row, i);
    // The float32 operations one by one, which the contract fixes.
    const float own = in_float(i) * turn.cosine;
    const float partner = in_float(turn.partner) * turn.sine;
    checker.Near("rotated given rstd", first + i, got, RoundedTo(setup.dtype, static_cast<double>(own + partner)), 0.0);
    const double value = exact(i) * turn.cosine + exact(turn.partner) * turn.sine;
    const double magnitude = std::abs(exact(i) * turn.cosine) + std::abs(exact(turn.partner) * turn.sine);
    const double weights = std::abs(weight[i]) + std::abs(weight[turn.partner]);
    double bound = magnitude * (RstdError(part.width) + 6.0 * kFloatRoundoff) + (4.0 + weights) * kUnderflow;
    if (setup.dtype == DType::kBF16) bound += HalfUlp(DType::kBF16, std::abs(value) + bound);
    checker.Near("rotated", first + i, got, value, bound);
  }
}

OpCase ForwardCase(const QkSetup& setup) {
  OpCase op;
  op.name = fmt::format("QkNormRopeForward/{}{}", setup.Name(), setup.in_place ? ",in_place" : "");
  op.make = [setup](std::uint64_t seed) {
    Operands o;
    if (setup.in_place) {
      o.InOut("qkv", setup.shape(), setup.dtype, seed, setup.data);
    } else {
      o.Input("qkv", setup.shape(), setup.dtype, seed, setup.data);
      o.Output("rotated", setup.shape(), setup.dtype);
    }
    Plant(setup.special, o["qkv"]);
    AddTableAndWeights(setup, o, seed);
    for (const QkPart& part : PartsOf(setup)) o.Output(part.rstd, {setup.tokens()}, DType::kF32);
    return o;
  };
  op.call = [setup](Context& ctx, const Operands& o) {
    QkNormRopeForward(ctx, {.qkv = o["qkv"],
                            .q_weight = o["q_weight"],
                            .k_weight = o["k_weight"],
                            .table = o["table"],
                            .rotated = o[setup.in_place ? "qkv" : "rotated"],
                            .q_rstd = o["q_rstd"],
                            .k_rstd = o["k_rstd"],
                            .heads = setup.heads,
                            .kv_heads = setup.kv_heads,
                            .eps = setup.eps});
  };
  op.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    const ConstTensorView rotated = after[setup.in_place ? "qkv" : "rotated"];
    for (std::int64_t row = 0; row < setup.tokens(); ++row) {
      for (const QkPart& part : PartsOf(setup)) CheckPart(setup, part, before, after, row, checker);
      for (std::int64_t i = row * setup.width() + setup.rotated(); i < (row + 1) * setup.width(); ++i) {
        checker.Near("value", i, ValueAt(rotated, i), ValueAt(before["qkv"], i), 0.0);
      }
    }
    checker.Same("q_weight", after["q_weight"], before["q_weight"]);
  };
  op.bytes = (setup.in_place ? 2.0 * static_cast<double>(setup.rotated()) : 2.0 * static_cast<double>(setup.width())) *
             static_cast<double>(setup.tokens() * SizeOf(setup.dtype));
  return op;
}

}  // namespace

std::vector<OpCase> QkNormRopeCases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (QkSetup setup : QkSetups(dtype)) {
      cases.push_back(ForwardCase(setup));
      setup.in_place = true;
      cases.push_back(ForwardCase(setup));
    }
    for (const QkSetup& setup : HardQkSetups(dtype)) cases.push_back(ForwardCase(setup));
  }
  return cases;
}

}  // namespace coat
