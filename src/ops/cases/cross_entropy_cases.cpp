#include "ops/cross_entropy.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/cases/complex_step.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

constexpr double kEpsilon = 0x1p-23;

/// What is special about the labels and logits of a case.
enum class Special { kNone, kAllIgnored, kSomeIgnored, kExtremeLogits, kNonFiniteLogits };

constexpr std::string_view NameOf(Special special) {
  constexpr std::string_view kNames[] = {"plain", "all_ignored", "some_ignored", "extreme", "non_finite"};
  return kNames[static_cast<int>(special)];
}

struct EntropyShape {
  DType dtype = DType::kF32;
  std::int64_t rows = 1, columns = 1;
  float logit_scale = 1.0f, loss_weight = 1.0f, z_weight = 0.0f;
  bool gradient = true;
  Data data = Data::kNormal;
  Special special = Special::kNone;

  std::string Name() const {
    return fmt::format("{},N={},E={},scale={},loss={},z={},{},{}{}", coat::NameOf(dtype), rows, columns, logit_scale,
                       loss_weight, z_weight, coat::NameOf(data), NameOf(special), gradient ? "" : ",loss_only");
  }
};

void Set(TensorView x, std::int64_t index, float value) {
  if (x.dtype() == DType::kF32) x.As<float>()[index] = value;
  if (x.dtype() == DType::kBF16) x.As<BFloat16>()[index] = ToBFloat16(value);
}

/// Rows of +-1e4, of one value, with one peak, with the label far below the others, and at float32's end.
void MakeExtreme(TensorView logits, std::int64_t label) {
  const std::int64_t columns = logits.shape()[1];
  for (std::int64_t i = 0; i < logits.elements(); ++i) {
    const std::int64_t column = i % columns;
    switch (i / columns % 5) {
      case 0:
        Set(logits, i, column % 2 == 0 ? 1e4f : -1e4f);
        break;
      case 1:
        Set(logits, i, -1e4f);
        break;
      case 2:
        Set(logits, i, column == columns / 2 ? 1e4f : 0.0f);
        break;
      case 3:
        Set(logits, i, column == label ? -1e4f : 1.0f);
        break;
      case 4:
        Set(logits, i, column % 3 == 0 ? 3e38f : -3e38f);
        break;
    }
  }
}

Operands MakeOperands(const EntropyShape& shape, std::uint64_t seed) {
  Operands operands;
  const TensorView logits = operands.InOut("logits", {shape.rows, shape.columns}, shape.dtype, seed, shape.data);
  const std::int64_t low = shape.special == Special::kSomeIgnored ? -shape.columns : 0;
  const bool none = shape.special == Special::kAllIgnored;
  const TensorView labels = operands.Indices("labels", {shape.rows}, seed, none ? -100 : low, none ? 0 : shape.columns);
  if (shape.special == Special::kExtremeLogits) {
    for (std::int64_t n = 0; n < shape.rows; ++n) labels.As<std::int32_t>()[n] = static_cast<std::int32_t>(n % 3);
    MakeExtreme(logits, 0);
  }
  if (shape.special == Special::kNonFiniteLogits) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kValues[] = {-kInfinity, kInfinity, std::numeric_limits<float>::quiet_NaN()};
    for (std::int64_t n = 0; n < shape.rows; ++n) {
      labels.As<std::int32_t>()[n] = 0;
      Set(logits, n * shape.columns + 1, kValues[n % 3]);
    }
  }
  operands.Output("loss", {shape.rows}, DType::kF32);
  operands.Output("z_squared", {shape.rows}, DType::kF32);
  const TensorView weights = operands.Input("weights", {2}, DType::kF32, seed, Data::kNormal);
  Set(weights, 0, shape.loss_weight);
  Set(weights, 1, shape.z_weight);
  return operands;
}

/// What float32 makes of a number beyond its range.
double InRange(double x) {
  return std::abs(x) > std::numeric_limits<float>::max() ? std::copysign(std::numeric_limits<double>::infinity(), x)
                                                         : x;
}

void CheckRow(const EntropyShape& shape, const Operands& before, const Operands& after, std::int64_t n,
              Checker& checker) {
  const double scale = shape.logit_scale;
  const std::int64_t first = n * shape.columns;
  const std::int32_t label = before["labels"].As<std::int32_t>()[n];
  const double loss = ValueAt(after["loss"], n);
  const double z_squared = ValueAt(after["z_squared"], n);
  const auto z = [&](std::int64_t i) { return scale * ValueAt(before["logits"], first + i); };
  if (label < 0) {
    checker.Near("ignored loss", n, loss, 0.0, 0.0);
    checker.Near("ignored z_squared", n, z_squared, 0.0, 0.0);
    for (std::int64_t i = first; shape.gradient && i < first + shape.columns; ++i) {
      checker.Near("ignored gradient", i, ValueAt(after["logits"], i), 0.0, 0.0);
    }
    return;
  }
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < shape.columns; ++i) largest = std::max(largest, z(i));
  double sum = 0.0;
  for (std::int64_t i = 0; i < shape.columns; ++i) sum += std::exp(z(i) - largest);
  const double lse = largest + std::log(sum);
  const double exact_loss = std::log(sum) + (largest - z(label));

  const double unit = (static_cast<double>(shape.columns) / 16.0 + 16.0) * kEpsilon;
  const double level = std::max(1.0, std::abs(lse));
  checker.Near("loss", n, loss, InRange(exact_loss), unit * std::max(level, std::abs(exact_loss)));
  checker.Near("z_squared", n, z_squared, InRange(lse * lse), 2.0 * unit * level * level);
  if (!shape.gradient) return;
  const double softmax_weight =
      std::abs(scale) * (std::abs(shape.loss_weight) + 2.0 * std::abs(shape.z_weight) * level);
  for (std::int64_t i = 0; i < shape.columns; ++i) {
    const double p = std::exp(z(i) - largest) / sum;
    double exact = scale * p * (shape.loss_weight + 2.0 * shape.z_weight * lse);
    double error = unit * (level + (std::isinf(z(i)) ? 0.0 : std::abs(z(i)))) * p * softmax_weight;
    if (i == label) {
      exact -= scale * shape.loss_weight;
      error += kEpsilon * std::abs(scale * shape.loss_weight);
    }
    error += std::ldexp(softmax_weight, -126);  // exponentials below it may be 0
    checker.Near("gradient", first + i, ValueAt(after["logits"], first + i), exact,
                 error + HalfUlp(shape.dtype, std::abs(exact) + error));
  }
}

OpCase EntropyCase(const EntropyShape& shape) {
  OpCase op;
  op.name = "CrossEntropy/" + shape.Name();
  op.make = [shape](std::uint64_t seed) { return MakeOperands(shape, seed); };
  op.call = [shape](Context& ctx, const Operands& operands) {
    CrossEntropy(ctx, {.logits = operands["logits"],
                       .labels = operands["labels"],
                       .loss = operands["loss"],
                       .z_squared = operands["z_squared"],
                       .logit_scale = shape.logit_scale,
                       .weights = shape.gradient ? operands["weights"] : TensorView(),
                       .gradient = shape.gradient});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t n = 0; n < shape.rows; ++n) CheckRow(shape, before, after, n, checker);
    if (!shape.gradient) checker.Same("logits", after["logits"], before["logits"]);
  };
  op.bytes = static_cast<double>(shape.rows * shape.columns * SizeOf(shape.dtype)) * (shape.gradient ? 2.0 : 1.0);
  return op;
}

/// The gradient against complex steps of the objective.
OpCase DerivativeCase(const EntropyShape& shape) {
  OpCase op = EntropyCase(shape);
  op.name = "CrossEntropy/derivative," + shape.Name();
  op.check = [shape, check = op.check](const Operands& before, const Operands& after, Checker& checker) {
    check(before, after, checker);
    std::vector<double> logits(static_cast<std::size_t>(shape.rows * shape.columns));
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = ValueAt(before["logits"], static_cast<std::int64_t>(i));
    const auto objective = [&](const std::vector<std::complex<double>>& x) {
      std::complex<double> total = 0.0;
      for (std::int64_t n = 0; n < shape.rows; ++n) {
        const std::int32_t label = before["labels"].As<std::int32_t>()[n];
        if (label < 0) continue;
        const std::complex<double>* row = x.data() + n * shape.columns;
        const double scale = shape.logit_scale;
        std::complex<double> sum = 0.0;
        for (std::int64_t i = 0; i < shape.columns; ++i) sum += std::exp(scale * row[i]);
        const std::complex<double> lse = std::log(sum);
        total += static_cast<double>(shape.loss_weight) * (lse - scale * row[label]);
        total += static_cast<double>(shape.z_weight) * lse * lse;
      }
      return total;
    };
    const std::vector<double> exact = ComplexStepGradient(logits, objective);
    const double weight = shape.logit_scale * (shape.loss_weight + 2.0 * shape.z_weight * 10.0);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      // Logits are a few units and logsumexp is below 10.
      checker.Near("gradient", index, ValueAt(after["logits"], index), exact[i], 32.0 * kEpsilon * 10.0 * weight);
    }
  };
  op.bytes = 0.0;
  return op;
}

}  // namespace

std::vector<OpCase> CrossEntropyCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  const EntropyShape shapes[] = {
      {.dtype = kF32, .rows = 1, .columns = 1, .z_weight = 0.5f},
      {.dtype = kF32, .rows = 7, .columns = 2, .loss_weight = 0.25f},
      {.dtype = kBF16, .rows = 13, .columns = 383, .loss_weight = 1.0f / 13, .special = Special::kSomeIgnored},
      {.dtype = kF32, .rows = 5, .columns = 1001, .logit_scale = 0.0625f, .z_weight = 1e-4f, .data = Data::kOutliers},
      {.dtype = kBF16, .rows = 6, .columns = 129, .logit_scale = 3.0f, .z_weight = 0.1f, .data = Data::kHeavyTails},
      {.dtype = kF32, .rows = 9, .columns = 50, .z_weight = 1e-4f, .data = Data::kHeavyTails},
      {.dtype = kF32, .rows = 4, .columns = 33, .special = Special::kAllIgnored},
      {.dtype = kBF16, .rows = 4, .columns = 33, .data = Data::kHuge, .special = Special::kAllIgnored},
      {.dtype = kF32, .rows = 5, .columns = 31, .data = Data::kHuge},
      {.dtype = kBF16, .rows = 5, .columns = 16, .data = Data::kTiny},
      {.dtype = kF32, .rows = 10, .columns = 47, .z_weight = 1e-4f, .special = Special::kExtremeLogits},
      {.dtype = kBF16, .rows = 10, .columns = 47, .special = Special::kExtremeLogits},
      {.dtype = kF32, .rows = 3, .columns = 17, .special = Special::kNonFiniteLogits},
      {.dtype = kBF16, .rows = 11, .columns = 97, .z_weight = 1e-4f, .gradient = false},
      {.dtype = kF32, .rows = 3, .columns = 50304, .loss_weight = 1.0f / 3, .z_weight = 1e-4f},
      // Rows beyond what a multiprocessor's shared memory holds.
      {.dtype = kF32, .rows = 3, .columns = 100352, .loss_weight = 1.0f / 3, .z_weight = 1e-4f},
      {.dtype = kF32, .rows = 3, .columns = 100352, .gradient = false},
      {.dtype = kBF16, .rows = 2048, .columns = 384, .loss_weight = 1.0f / 2048, .z_weight = 1e-4f / 2048},
  };
  std::vector<OpCase> cases;
  for (const EntropyShape& shape : shapes) cases.push_back(EntropyCase(shape));
  cases.push_back(DerivativeCase({.dtype = kF32,
                                  .rows = 5,
                                  .columns = 23,
                                  .logit_scale = 0.75f,
                                  .loss_weight = 0.5f,
                                  .z_weight = 0.3f,
                                  .special = Special::kSomeIgnored}));
  return cases;
}

}  // namespace coat
