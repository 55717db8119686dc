#include "ops/fill.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

OpCase FillCase(Shape shape, DType dtype, float value) {
  OpCase op;
  op.name = fmt::format("Fill/{},{},{}", shape.ToString(), NameOf(dtype), value);
  op.make = [=](std::uint64_t) {
    Operands operands;
    operands.Output("x", shape, dtype);
    return operands;
  };
  op.call = [=](Context& ctx, const Operands& operands) { Fill(ctx, {.x = operands["x"], .value = value}); };
  op.check = [=](const Operands&, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      checker.Near("x", i, ValueAt(after["x"], i), RoundedTo(dtype, value), 0.0);
    }
  };
  op.bitwise = true;
  return op;
}

struct NormalShape {
  Shape shape;
  std::uint64_t tensor_id = 0;
  std::int64_t offset = 0;
  float std = 1.0f;
  float cutoff = 0.0f;
};

FillNormalArgs ArgsOf(const NormalShape& shape, TensorView x) {
  return {.x = x,
          .seed = 6198,
          .tensor_id = shape.tensor_id,
          .offset = shape.offset,
          .std = shape.std,
          .cutoff = shape.cutoff};
}

/// P(Z < z) of a normal distribution cut off at +-cutoff (0: nowhere).
double Probability(double z, double cutoff) {
  const double below = 0.5 * std::erfc(-z * 0.70710678118654752440);
  if (cutoff == 0.0) return below;
  const double excluded = 0.5 * std::erfc(cutoff * 0.70710678118654752440);
  return (below - excluded) / (1.0 - 2.0 * excluded);
}

/// Every number is within the cutoff, and the numbers are distributed as asked: a chi-squared test of 32 ranges of
/// equal probability (1.6e-5 of all seeds would fail at 80).
void CheckDistribution(const NormalShape& shape, const Operands& after, Checker& checker) {
  constexpr int kRanges = 32;
  std::vector<double> found(kRanges, 0.0);
  const std::int64_t count = shape.shape.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = ValueAt(after["x"], i);
    const double bound = shape.cutoff > 0.0f ? static_cast<double>(shape.cutoff) * shape.std : 6.4 * shape.std;
    checker.Near("x", i, x, 0.0, bound * (1.0 + kFloatRoundoff));
    if (shape.std == 0.0f) continue;
    const double p = Probability(x / shape.std, shape.cutoff);
    ++found[static_cast<std::size_t>(std::min(std::max(static_cast<int>(p * kRanges), 0), kRanges - 1))];
  }
  if (count < 10000) return;
  const double expected = static_cast<double>(count) / kRanges;
  double chi_squared = 0.0;
  for (const double number : found) chi_squared += (number - expected) * (number - expected) / expected;
  checker.Near("chi-squared of 31 degrees of freedom", 0, chi_squared, 31.0, 49.0);
}

OpCase NormalCase(const NormalShape& shape) {
  OpCase op;
  op.name = fmt::format("FillNormal/{},id={},offset={},std={},cutoff={}", shape.shape.ToString(), shape.tensor_id,
                        shape.offset, shape.std, shape.cutoff);
  op.make = [shape](std::uint64_t) {
    Operands operands;
    operands.Output("x", shape.shape, DType::kF32);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) { FillNormal(ctx, ArgsOf(shape, operands["x"])); };
  op.check = [shape](const Operands&, const Operands& after, Checker& checker) {
    CheckDistribution(shape, after, checker);
    // A shard that starts anywhere has the same numbers.
    const std::int64_t skipped = std::min<std::int64_t>(5, shape.shape.elements() - 1);
    Operands shard;
    NormalShape shard_shape = shape;
    shard_shape.shape = {shape.shape.elements() - skipped};
    shard_shape.offset += skipped;
    const TensorView rest = shard.Output("x", shard_shape.shape, DType::kF32);
    Context ctx(DeviceKind::kCpu, 1);
    FillNormal(ctx, ArgsOf(shard_shape, rest));
    checker.Same("shard", rest, after["x"].Reshaped({shape.shape.elements()}).Rows(skipped, rest.elements()));
  };
  op.bitwise = true;
  return op;
}

/// The numbers themselves: a run must start from the same weights on every machine and in every version.
OpCase PinnedCase() {
  const NormalShape shape = {.shape = {6}, .tensor_id = 3, .std = 0.02f, .cutoff = 3.0f};
  OpCase op = NormalCase(shape);
  op.name = "FillNormal/pinned";
  op.check = [](const Operands&, const Operands& after, Checker& checker) {
    const float expected[] = {-0.0467089824f, -0.0256670061f, 0.0100391842f,
                              0.0016259941f,  0.0104187513f,  0.0302524325f};
    // The same in 30 digits, by another program.
    const double exact[] = {-0.046708977, -0.0256670103, 0.0100391842, 0.00162599408, 0.0104187495, 0.0302524331};
    for (std::int64_t i = 0; i < 6; ++i) {
      checker.Near("x", i, ValueAt(after["x"], i), expected[i], 0.0);
      checker.Near("x", i, expected[i], exact[i], 5e-7 * std::abs(exact[i]));
    }
  };
  return op;
}

}  // namespace

std::vector<OpCase> FillCases() {
  return {
      FillCase({1}, DType::kF32, 0.0f),
      FillCase({37, 1001}, DType::kBF16, 1.2345678f),
      FillCase({40000}, DType::kF32, -3e38f),
      NormalCase({.shape = {1}}),
      NormalCase({.shape = {3, 7}, .tensor_id = 1, .std = 0.02f, .cutoff = 3.0f}),
      NormalCase({.shape = {40001}, .tensor_id = 2, .std = 0.02f, .cutoff = 3.0f}),
      NormalCase({.shape = {100, 1000}, .tensor_id = 1ull << 40, .std = 3.0f}),
      NormalCase({.shape = {20000}, .offset = (std::int64_t{1} << 34) - 9999, .std = 1.0f, .cutoff = 0.5f}),
      NormalCase({.shape = {50}, .std = 0.0f, .cutoff = 2.0f}),
      PinnedCase(),
  };
}

}  // namespace coat
