#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/cases/attention_reference.h"
#include "ops/cases/complex_step.h"
#include "ops/cases/head_sizes.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

constexpr double kEpsilon = 0x1p-23;
constexpr double kSmallestNormal = 0x1p-126;  // probabilities below it may become zero

void CheckForward(const AttentionShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const auto length = static_cast<double>(shape.positions);
  const auto head_size = static_cast<double>(shape.head_size);
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const ExactAttention exact(shape, before["qkv"], b, h);
      for (std::int64_t i = 0; i < shape.positions; ++i) {
        const std::int64_t first = exact.first[static_cast<std::size_t>(i)];
        const double largest_sum = *std::max_element(exact.magnitudes[i] + first, exact.magnitudes[i] + i + 1);
        const double unit = (length + (head_size + 2.0) * largest_sum + 16.0) * kEpsilon;
        const double exact_lse = exact.lse[static_cast<std::size_t>(i)];
        const std::int64_t lse_index = (b * shape.heads + h) * shape.positions + i;
        checker.Near("lse", lse_index, ValueAt(after["lse"], lse_index), exact_lse,
                     unit + 4.0 * HalfUlp(DType::kF32, exact_lse));
        const std::vector<double> p_errors = ProbabilityErrors(exact.scores[i] + first, i + 1 - first, unit);
        for (std::int64_t c = 0; c < shape.head_size; ++c) {
          double largest_value = 0.0;
          double weighted = 0.0;
          double misweighted = 0.0;
          for (std::int64_t j = first; j <= i; ++j) {
            largest_value = std::max(largest_value, std::abs(exact.v[j][c]));
            weighted += exact.probabilities[i][j] * std::abs(exact.v[j][c]);
            misweighted += p_errors[static_cast<std::size_t>(j - first)] * std::abs(exact.v[j][c]);
          }
          // Large scores may be off by much, but only those that are close to the best move weights.
          const double of_scores = misweighted + (length + 16.0) * kEpsilon * (weighted + misweighted) +
                                   length * kSmallestNormal * largest_value;
          const double error = std::min(std::min(unit, 2.0 + kEpsilon * length) * largest_value, of_scores) +
                               AttentionWeightRounding(shape, checker) * (weighted + misweighted) +
                               HalfUlp(DType::kF32, 0.0) * length;
          const std::int64_t index = ((b * shape.positions + i) * shape.heads + h) * shape.head_size + c;
          checker.Near("out", index, ValueAt(after["out"], index), exact.out[i][c],
                       error + HalfUlp(shape.dtype, std::abs(exact.out[i][c]) + error));
        }
      }
    }
  }
}

/// Bytes at the least, and products of the tiles that the causal mask leaves.
void SetCost(const AttentionShape& shape, double tensors, double products, OpCase& op) {
  op.bytes = tensors * static_cast<double>(shape.tokens() * shape.width() * SizeOf(shape.dtype));
  op.flops = products * static_cast<double>(shape.tokens() * shape.positions * shape.heads * shape.head_size);
}

/// Where documents begin, if the case has any.
void AddDocuments(const AttentionShape& shape, Operands& operands) {
  if (shape.documents.empty()) return;
  const std::vector<std::int64_t> starts = shape.DocumentStarts();
  const TensorView documents = operands.Indices("documents", {shape.tokens()}, 0, 0, 1);
  std::copy(starts.begin(), starts.end(), documents.As<std::int32_t>());
}

ConstTensorView DocumentsOf(const Operands& operands) {
  return operands.Has("documents") ? ConstTensorView(operands["documents"]) : ConstTensorView();
}

OpCase ForwardCase(const AttentionShape& shape) {
  OpCase op;
  op.name = "AttentionForward/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    const TensorView qkv = operands.Input("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    if (shape.nan_query >= 0) {
      const std::int64_t index = shape.nan_query * shape.width();
      const float nan = std::numeric_limits<float>::quiet_NaN();
      if (shape.dtype == DType::kF32) qkv.As<float>()[index] = nan;
      if (shape.dtype == DType::kBF16) qkv.As<BFloat16>()[index] = ToBFloat16(nan);
    }
    AddDocuments(shape, operands);
    operands.Output("out", {shape.tokens(), shape.heads * shape.head_size}, shape.dtype);
    operands.Output("lse", {shape.sequences, shape.heads, shape.positions}, DType::kF32);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    AttentionForward(ctx, {.qkv = operands["qkv"],
                           .out = operands["out"],
                           .lse = operands["lse"],
                           .documents = DocumentsOf(operands),
                           .heads = shape.heads,
                           .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckForward(shape, before, after, checker);
  };
  SetCost(shape, 1.5, 2.0, op);
  return op;
}
/// out and lse as an exact forward op writes them.
void FillForwardResults(const AttentionShape& shape, const Operands& operands, TensorView out, TensorView lse) {
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const ExactAttention exact(shape, operands["qkv"], b, h);
      for (std::int64_t i = 0; i < shape.positions; ++i) {
        lse.As<float>()[(b * shape.heads + h) * shape.positions + i] =
            static_cast<float>(exact.lse[static_cast<std::size_t>(i)]);
        for (std::int64_t c = 0; c < shape.head_size; ++c) {
          const std::int64_t index = ((b * shape.positions + i) * shape.heads + h) * shape.head_size + c;
          const auto value = static_cast<float>(exact.out[i][c]);
          if (shape.dtype == DType::kF32) out.As<float>()[index] = value;
          if (shape.dtype == DType::kBF16) out.As<BFloat16>()[index] = ToBFloat16(value);
        }
      }
    }
  }
}

OpCase BackwardCase(const AttentionShape& shape) {
  OpCase op;
  op.name = "AttentionBackward/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    const Shape out_shape = {shape.tokens(), shape.heads * shape.head_size};
    operands.Input("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    const TensorView out = operands.Input("out", out_shape, shape.dtype, seed);
    const TensorView lse = operands.Input("lse", {shape.sequences, shape.heads, shape.positions}, DType::kF32, seed);
    FillForwardResults(shape, operands, out, lse);
    operands.Input("d_out", out_shape, shape.dtype, seed, shape.data);
    AddDocuments(shape, operands);
    operands.Output("d_qkv", {shape.tokens(), shape.width()}, shape.dtype);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    AttentionBackward(ctx, {.qkv = operands["qkv"],
                            .out = operands["out"],
                            .lse = operands["lse"],
                            .d_out = operands["d_out"],
                            .d_qkv = operands["d_qkv"],
                            .documents = DocumentsOf(operands),
                            .heads = shape.heads,
                            .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    const ExactAttentionGradients gradients(shape, before, checker);
    for (std::int64_t i = 0; i < shape.tokens() * shape.width(); ++i) {
      const auto index = static_cast<std::size_t>(i);
      const double exact = gradients.exact.values[index];
      const double error = gradients.bound.values[index] + static_cast<double>(shape.positions) * 0x1p-149;
      checker.Near("d_qkv", i, ValueAt(after["d_qkv"], i), exact,
                   error + HalfUlp(shape.dtype, std::abs(exact) + error));
    }
  };
  SetCost(shape, 3.0, 5.0, op);
  return op;
}

/// The double gradients against complex steps of the definition, and the op against both.
OpCase DerivativeCase(const AttentionShape& shape) {
  OpCase op = BackwardCase(shape);
  op.name = "AttentionBackward/derivative," + shape.Name();
  op.check = [shape, check = op.check](const Operands& before, const Operands& after, Checker& checker) {
    check(before, after, checker);
    using Complex = std::complex<double>;
    std::vector<double> qkv(static_cast<std::size_t>(shape.tokens() * shape.width()));
    for (std::size_t i = 0; i < qkv.size(); ++i) qkv[i] = ValueAt(before["qkv"], static_cast<std::int64_t>(i));
    const std::vector<std::int64_t> starts = shape.DocumentStarts();
    const auto objective = [&](const std::vector<Complex>& x) {
      const auto at = [&](std::int64_t b, std::int64_t i, std::int64_t part, std::int64_t c) {
        return x[static_cast<std::size_t>((b * shape.positions + i) * shape.width() + part * shape.head_size + c)];
      };
      Complex total = 0.0;
      for (std::int64_t row = 0; row < shape.tokens() * shape.heads; ++row) {
        const std::int64_t b = row / shape.heads / shape.positions;
        const std::int64_t i = row / shape.heads % shape.positions;
        const std::int64_t h = row % shape.heads;
        const std::int64_t key_part = shape.heads + h / (shape.heads / shape.kv_heads);
        Complex sum = 0.0;
        Complex weighted = 0.0;
        for (std::int64_t j = starts[static_cast<std::size_t>(row / shape.heads)]; j <= i; ++j) {
          Complex score = 0.0;
          Complex along_d_out = 0.0;
          for (std::int64_t c = 0; c < shape.head_size; ++c) {
            score += at(b, i, h, c) * at(b, j, key_part, c);
            along_d_out += at(b, j, key_part + shape.kv_heads, c) * ValueAt(before["d_out"], row * shape.head_size + c);
          }
          sum += std::exp(score * shape.scale());
          weighted += std::exp(score * shape.scale()) * along_d_out;
        }
        total += weighted / sum;
      }
      return total;
    };
    const std::vector<double> derivative = ComplexStepGradient(qkv, objective);
    const ExactAttentionGradients gradients(shape, before, checker);
    for (std::size_t i = 0; i < derivative.size(); ++i) {
      checker.Near("the reference's d_qkv", static_cast<std::int64_t>(i), gradients.exact.values[i], derivative[i],
                   1e-12 * (1.0 + std::abs(derivative[i])));
    }
  };
  op.bytes = op.flops = 0.0;
  return op;
}

}  // namespace

std::vector<OpCase> AttentionCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  constexpr auto Of = WithHeadSizes<AttentionShape>;
  const AttentionShape shapes[] = {
      Of({1, 1, 1, 1, 1}, {.dtype = kF32}),
      Of({3, 1, 2, 1, 2}, {.dtype = kBF16}),
      Of({2, 2, 3, 3, 5}, {.dtype = kF32}),
      // Around the tiles' edges: 64 queries, 256 keys.
      Of({1, 63, 2, 2, 8}, {.dtype = kF32}),
      Of({1, 64, 1, 1, 16}, {.dtype = kF32}),
      Of({2, 65, 2, 1, 7}, {.dtype = kF32}),
      Of({1, 256, 2, 2, 32}, {.dtype = kBF16}),
      Of({1, 257, 1, 1, 24}, {.dtype = kF32}),
      Of({1, 331, 4, 2, 20}, {.dtype = kF32}),
      Of({1, 600, 2, 1, 12}, {.dtype = kBF16}),
      // Several query heads a key head.
      Of({2, 37, 6, 2, 10}, {.dtype = kF32}),
      Of({2, 101, 5, 1, 32}, {.dtype = kBF16}),
      // Gradients of keys in several spans.
      Of({1, 150, 2, 1, kMaxHeadSize}, {.dtype = kF32}),
      Of({1, 300, 1, 1, 2048}, {.dtype = kBF16}),
      // Flat, saturated and wild softmax.
      Of({1, 90, 2, 2, 16}, {.dtype = kF32, .data = Data::kTiny}),
      Of({1, 90, 2, 1, 16}, {.dtype = kF32, .data = Data::kIntegers}),
      Of({1, 90, 2, 1, 64}, {.dtype = kBF16, .data = Data::kIntegers}),
      Of({1, 130, 2, 1, 16}, {.dtype = kF32, .data = Data::kOutliers}),
      Of({1, 300, 2, 2, 16}, {.dtype = kF32, .data = Data::kHeavyTails}),
      // Scores of 10^9: only where recomputed probabilities are kept from exceeding 1, so not a multiple of 8.
      Of({1, 70, 2, 2, 12}, {.dtype = kBF16, .data = Data::kHeavyTails}),
      // Fused kernels on tensor cores, around their tiles of 64 and 128 positions.
      Of({2, 1, 4, 2, 64}, {.dtype = kBF16}),
      Of({3, 2, 2, 1, 8}, {.dtype = kBF16}),
      Of({2, 63, 4, 2, 128}, {.dtype = kBF16}),
      Of({2, 128, 2, 2, 64}, {.dtype = kBF16}),
      Of({2, 257, 4, 1, 64}, {.dtype = kBF16}),
      Of({1, 257, 2, 2, 128}, {.dtype = kBF16}),
      Of({1, 129, 2, 1, 72}, {.dtype = kBF16}),
      Of({1, 130, 2, 1, 256}, {.dtype = kBF16}),
      Of({8, 256, 4, 4, 64}, {.dtype = kBF16}),
      // Documents: of one token, ending with the sequence and not, ends around the tiles' edges, tiles that no query of
      // a document sees, and gradients of keys in several spans.
      Of({1, 1, 1, 1, 4}, {.dtype = kF32, .documents = {1}}),
      Of({3, 7, 2, 1, 4}, {.dtype = kF32, .documents = {3, 1, 9}}),
      Of({2, 37, 2, 2, 16}, {.dtype = kBF16, .documents = {1}}),
      Of({1, 700, 2, 1, 12}, {.dtype = kF32, .documents = {63, 1, 192, 1, 255, 90, 300}}),
      Of({2, 257, 4, 1, 64}, {.dtype = kBF16, .documents = {64, 65, 127, 200, 3}}),
      Of({1, 300, 2, 2, 128}, {.dtype = kBF16, .documents = {17, 130, 300}}),
      Of({3, 70, 2, 1, 8}, {.dtype = kBF16, .documents = {40, 1, 90}}),
      Of({1, 200, 6, 2, 72}, {.dtype = kBF16, .documents = {100, 64, 9}}),
      Of({1, 150, 2, 1, 64}, {.dtype = kBF16, .data = Data::kIntegers, .documents = {70, 50}}),
      Of({8, 256, 4, 4, 64}, {.dtype = kBF16, .documents = {90, 300}}),
      Of({1, 80, 2, 2, 20}, {.dtype = kBF16, .documents = {30, 70}}),
      Of({1, 150, 2, 1, kMaxHeadSize}, {.dtype = kF32, .documents = {70, 5, 100}}),
      Of({1, 130, 2, 1, 16}, {.dtype = kF32, .data = Data::kOutliers, .documents = {50, 40, 7}}),
  };
  std::vector<OpCase> cases;
  for (const AttentionShape& shape : shapes) {
    cases.push_back(ForwardCase(shape));
    cases.push_back(BackwardCase(shape));
  }
  cases.push_back(ForwardCase(Of({1, 70, 2, 2, 8}, {.dtype = kF32, .nan_query = 66})));
  cases.push_back(ForwardCase(Of({2, 70, 2, 1, 64}, {.dtype = kBF16, .nan_query = 66})));
  cases.push_back(ForwardCase(Of({2, 70, 2, 1, 64}, {.dtype = kBF16, .nan_query = 66, .documents = {50, 300}})));
  cases.push_back(DerivativeCase(Of({2, 5, 4, 2, 3}, {.dtype = kF32})));
  cases.push_back(DerivativeCase(Of({2, 6, 4, 2, 3}, {.dtype = kF32, .documents = {2, 3, 1, 4}})));
  return cases;
}

}  // namespace coat
