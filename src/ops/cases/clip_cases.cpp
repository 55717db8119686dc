#include "ops/clip.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

OpCase TotalNormCase(std::int64_t count, Data data, float first) {
  OpCase op;
  op.name = fmt::format("TotalNorm/P={},{},first={}", count, NameOf(data), first);
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    const TensorView norms = operands.Input("norms", {count}, DType::kF32, seed, data);
    for (std::int64_t i = 0; i < count; ++i) norms.As<float>()[i] = std::abs(norms.As<float>()[i]);
    if (first != 0.0f) norms.As<float>()[0] = first;
    operands.Output("total_norm", {1}, DType::kF32);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) {
    TotalNorm(ctx, {.norms = operands["norms"], .total_norm = operands["total_norm"]});
  };
  op.check = [=](const Operands& before, const Operands& after, Checker& checker) {
    long double squares = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
      const long double norm = ValueAt(before["norms"], i);
      squares += norm * norm;
    }
    const double exact = static_cast<double>(std::sqrt(squares));
    checker.Near("total_norm", 0, ValueAt(after["total_norm"], 0), exact, 1.001 * HalfUlp(DType::kF32, exact));
  };
  op.bitwise = true;
  return op;
}

OpCase ClipCase(std::int64_t count, float total_norm, float max_norm) {
  OpCase op;
  op.name = fmt::format("ClipCoefficients/P={},total={},max={}", count, total_norm, max_norm);
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    operands.Input("total_norm", {1}, DType::kF32, seed).As<float>()[0] = total_norm;
    operands.Output("coefficients", {count}, DType::kF32);
    return operands;
  };
  op.call = [=](Context& ctx, const Operands& operands) {
    ClipCoefficients(
        ctx, {.total_norm = operands["total_norm"], .coefficients = operands["coefficients"], .max_norm = max_norm});
  };
  op.check = [=](const Operands&, const Operands& after, Checker& checker) {
    const double quotient = max_norm / (static_cast<double>(total_norm) + 1e-6);
    const double exact = quotient < 1.0 ? quotient : 1.0;
    for (std::int64_t i = 0; i < count; ++i) {
      checker.Near("coefficients", i, ValueAt(after["coefficients"], i), exact, 3 * kFloatRoundoff * exact);
    }
  };
  op.bitwise = true;
  return op;
}

OpCase AdaptiveCase(std::int64_t count, float ratio, Data data) {
  OpCase op;
  op.name = fmt::format("AdaptiveClipCoefficients/P={},ratio={},{}", count, ratio, NameOf(data));
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    for (const TensorView& x : {operands.Input("norms", {count}, DType::kF32, seed, data),
                                operands.InOut("norm_averages", {count}, DType::kF32, seed, data)}) {
      for (std::int64_t i = 0; i < count; ++i) x.As<float>()[i] = std::abs(x.As<float>()[i]);
    }
    // No average yet; a norm of 0; neither.
    operands["norm_averages"].As<float>()[0] = 0.0f;
    if (count > 2) operands["norms"].As<float>()[1] = 0.0f;
    if (count > 2) operands["norms"].As<float>()[2] = operands["norm_averages"].As<float>()[2] = 0.0f;
    operands.Output("coefficients", {count}, DType::kF32);
    return operands;
  };
  op.call = [=](Context& ctx, const Operands& operands) {
    AdaptiveClipCoefficients(ctx, {.norms = operands["norms"],
                                   .norm_averages = operands["norm_averages"],
                                   .coefficients = operands["coefficients"],
                                   .max_norm_ratio = ratio,
                                   .beta = 0.95f});
  };
  op.check = [=](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < count; ++i) {
      const double norm = ValueAt(before["norms"], i);
      const double old = ValueAt(before["norm_averages"], i);
      const double average = old > 0.0 ? old : norm;
      const double coefficient = std::min(1.0, ratio * average / (norm + 1e-6));
      const double next = average + (1.0 - 0.95f) * (coefficient * norm - average);
      checker.Near("coefficients", i, ValueAt(after["coefficients"], i), coefficient, 5 * kFloatRoundoff);
      checker.Near("norm_averages", i, ValueAt(after["norm_averages"], i), next, 6 * kFloatRoundoff * (average + norm));
    }
  };
  op.bitwise = true;
  return op;
}

}  // namespace

std::vector<OpCase> ClipCases() {
  return {
      TotalNormCase(1, Data::kNormal, 0.0f),
      TotalNormCase(149, Data::kHeavyTails, 0.0f),
      TotalNormCase(10, Data::kTiny, 0.0f),
      TotalNormCase(10, Data::kHuge, 0.0f),
      TotalNormCase(3, Data::kNormal, kNaN),
      TotalNormCase(3, Data::kNormal, kInfinity),
      ClipCase(1, 0.5f, 1.0f),
      ClipCase(7, 3.0f, 1.0f),
      ClipCase(7, 0.0f, 1e-8f),
      ClipCase(2, 1e30f, 1.0f),
      ClipCase(2, 1e30f, kInfinity),
      ClipCase(2, kNaN, 1.0f),
      AdaptiveCase(1, 0.5f, Data::kNormal),
      AdaptiveCase(67, 1.1f, Data::kHeavyTails),
      AdaptiveCase(67, 0.1f, Data::kNormal),
  };
}

}  // namespace coat
