#include "ops/attention.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/complex_step.h"
#include "ops/op_case.h"

namespace coat {

namespace {

constexpr double kEpsilon = 0x1p-23;

struct AttentionShape {
  DType dtype = DType::kF32;
  std::int64_t sequences = 1, positions = 1, heads = 1, kv_heads = 1, head_size = 1;
  Data data = Data::kNormal;
  std::int64_t nan_query = -1;  // a position whose first query is NaN

  std::int64_t tokens() const { return sequences * positions; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(head_size)); }
  std::string Name() const {
    return fmt::format("{},B={},T={},H={},Hk={},K={},{}{}", NameOf(dtype), sequences, positions, heads, kv_heads,
                       head_size, NameOf(data), nan_query < 0 ? "" : fmt::format(",nan_query={}", nan_query));
  }
};

/// What one rounding of a probability or of a score's gradient to bf16 may cost, relative to what it weighs, on
/// backends that multiply them on tensor cores: half of the last of 8 significant bits, at a power of two.
double WeightRounding(const AttentionShape& shape, const Checker& checker) {
  return shape.dtype == DType::kBF16 && checker.device() == DeviceKind::kCuda ? 0x1p-8 : 0.0;
}

/// A matrix of doubles.
struct Matrix {
  std::int64_t columns = 0;
  std::vector<double> values;

  Matrix(std::int64_t row_count, std::int64_t column_count)
      : columns(column_count), values(static_cast<std::size_t>(row_count * column_count), 0.0) {}
  double* operator[](std::int64_t row) { return values.data() + row * columns; }
  const double* operator[](std::int64_t row) const { return values.data() + row * columns; }
};

/// Columns [begin, begin + K) of the rows of one sequence.
Matrix HeadOf(const AttentionShape& shape, ConstTensorView x, std::int64_t sequence, std::int64_t begin) {
  Matrix head(shape.positions, shape.head_size);
  const std::int64_t width = x.shape()[1];
  for (std::int64_t i = 0; i < shape.positions; ++i) {
    for (std::int64_t c = 0; c < shape.head_size; ++c) {
      head[i][c] = ValueAt(x, (sequence * shape.positions + i) * width + begin + c);
    }
  }
  return head;
}

double Dot(const double* a, const double* b, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

double DotOfMagnitudes(const double* a, const double* b, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::abs(a[i] * b[i]);
  return sum;
}

/// One query head of one sequence, straight from the definition.
struct ExactHead {
  Matrix q, k, v;
  Matrix scores;            // [T, T], scaled
  Matrix magnitudes;        // [T, T]: sum |q k| / sqrt(K)
  Matrix probabilities;     // [T, T], 0 above the diagonal
  std::vector<double> lse;  // [T]
  Matrix out;               // [T, K]

  ExactHead(const AttentionShape& shape, ConstTensorView qkv, std::int64_t sequence, std::int64_t head)
      : q(HeadOf(shape, qkv, sequence, head * shape.head_size)),
        k(HeadOf(shape, qkv, sequence, (shape.heads + KvHead(shape, head)) * shape.head_size)),
        v(HeadOf(shape, qkv, sequence, (shape.heads + shape.kv_heads + KvHead(shape, head)) * shape.head_size)),
        scores(shape.positions, shape.positions),
        magnitudes(shape.positions, shape.positions),
        probabilities(shape.positions, shape.positions),
        lse(static_cast<std::size_t>(shape.positions)),
        out(shape.positions, shape.head_size) {
    for (std::int64_t i = 0; i < shape.positions; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        scores[i][j] = shape.scale() * Dot(q[i], k[j], shape.head_size);
        magnitudes[i][j] = shape.scale() * DotOfMagnitudes(q[i], k[j], shape.head_size);
      }
      const double largest = *std::max_element(scores[i], scores[i] + i + 1);
      double sum = 0.0;
      for (std::int64_t j = 0; j <= i; ++j) sum += std::exp(scores[i][j] - largest);
      lse[static_cast<std::size_t>(i)] = largest + std::log(sum);
      for (std::int64_t j = 0; j <= i; ++j) {
        probabilities[i][j] = std::exp(scores[i][j] - largest) / sum;
        for (std::int64_t c = 0; c < shape.head_size; ++c) out[i][c] += probabilities[i][j] * v[j][c];
      }
    }
  }

  static std::int64_t KvHead(const AttentionShape& shape, std::int64_t head) {
    return head / (shape.heads / shape.kv_heads);
  }
};

void CheckForward(const AttentionShape& shape, const Operands& before, const Operands& after, Checker& checker) {
  const auto length = static_cast<double>(shape.positions);
  const auto head_size = static_cast<double>(shape.head_size);
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const ExactHead exact(shape, before["qkv"], b, h);
      for (std::int64_t i = 0; i < shape.positions; ++i) {
        const double largest_sum = *std::max_element(exact.magnitudes[i], exact.magnitudes[i] + i + 1);
        const double unit = (length + (head_size + 2.0) * largest_sum + 16.0) * kEpsilon;
        const double exact_lse = exact.lse[static_cast<std::size_t>(i)];
        const std::int64_t lse_index = (b * shape.heads + h) * shape.positions + i;
        checker.Near("lse", lse_index, ValueAt(after["lse"], lse_index), exact_lse,
                     unit + 4.0 * HalfUlp(DType::kF32, exact_lse));
        for (std::int64_t c = 0; c < shape.head_size; ++c) {
          double largest_value = 0.0;
          double weighted = 0.0;
          for (std::int64_t j = 0; j <= i; ++j) {
            largest_value = std::max(largest_value, std::abs(exact.v[j][c]));
            weighted += exact.probabilities[i][j] * std::abs(exact.v[j][c]);
          }
          const double error = std::min(unit, 2.0 + kEpsilon * length) * largest_value +
                               WeightRounding(shape, checker) * weighted + HalfUlp(DType::kF32, 0.0) * length;
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
    operands.Output("out", {shape.tokens(), shape.heads * shape.head_size}, shape.dtype);
    operands.Output("lse", {shape.sequences, shape.heads, shape.positions}, DType::kF32);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    AttentionForward(ctx, {.qkv = operands["qkv"],
                           .out = operands["out"],
                           .lse = operands["lse"],
                           .heads = shape.heads,
                           .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    CheckForward(shape, before, after, checker);
  };
  SetCost(shape, 1.5, 2.0, op);
  return op;
}

/// Gradients in double of sum(d_out * attention(qkv)), and bounds of their errors, [N, (H + 2 Hk) K] each.
///
/// The errors are the first-order effects of each rounding: a score by (K + 2) roundings of its terms, lse by one, a
/// probability by both, by the subtraction and by Exp; d_out v by K roundings; sum(d_out out) by K and by out's own;
/// the sums over positions (and the heads of a group) by one a term. A probability is at most 1, whatever its error.
///
/// Backends on tensor cores compute dV = P^T dO, dK = dS^T Q and dQ = dS K from P and dS in bf16: every term errs by
/// WeightRounding more. dS itself comes from P, dO V^T and sum(dO O) in float32. Where G query heads share a key head,
/// dK and dV are those sums for each query head, in bf16, and then the sums of G of them: half an ulp of each of the G
/// is added, which is not small next to dK and dV where one head dominates or two cancel.
struct Gradients {
  Matrix exact, bound;
  double weight_rounding;
  bool rounds_heads;

  Gradients(const AttentionShape& shape, const Operands& operands, const Checker& checker)
      : exact(shape.tokens(), shape.width()),
        bound(shape.tokens(), shape.width()),
        weight_rounding(WeightRounding(shape, checker)),
        rounds_heads(weight_rounding > 0.0 && shape.heads > shape.kv_heads) {
    for (std::int64_t b = 0; b < shape.sequences; ++b) {
      for (std::int64_t h = 0; h < shape.heads; ++h) AddHead(shape, operands, b, h);
    }
  }

  void AddHead(const AttentionShape& shape, const Operands& operands, std::int64_t sequence, std::int64_t head) {
    constexpr double kUnit = 0.5 * kEpsilon;
    const std::int64_t size = shape.head_size;
    const ExactHead forward(shape, operands["qkv"], sequence, head);
    const Matrix d_out = HeadOf(shape, operands["d_out"], sequence, head * size);
    HeadSums own(shape);
    const double terms = static_cast<double>(shape.positions * (shape.heads / shape.kv_heads) + 2);
    const auto roundings = static_cast<double>(size);
    for (std::int64_t i = 0; i < shape.positions; ++i) {
      const double delta = Dot(d_out[i], forward.out[i], size);
      double delta_error = 0.0;
      for (std::int64_t c = 0; c < size; ++c) {
        const double o = forward.out[i][c];
        delta_error += std::abs(d_out[i][c]) * (roundings * kUnit * std::abs(o) + HalfUlp(shape.dtype, o));
      }
      for (std::int64_t j = 0; j <= i; ++j) {
        const double lse = forward.lse[static_cast<std::size_t>(i)];
        const double p = forward.probabilities[i][j];
        const double relative = kUnit * ((roundings + 2.0) * forward.magnitudes[i][j] + std::abs(lse) +
                                         std::abs(forward.scores[i][j] - lse) + 6.0);
        const double p_error = std::min(p * std::expm1(relative) + 0x1p-140, 1.0);
        const double d_p = Dot(d_out[i], forward.v[j], size);
        const double d_p_error = roundings * kUnit * DotOfMagnitudes(d_out[i], forward.v[j], size);
        const double d_s = p * (d_p - delta);
        const double d_s_error = p_error * std::abs(d_p - delta) +
                                 (p + p_error) * (d_p_error + delta_error + 2.0 * kUnit * std::abs(d_p - delta));
        for (std::int64_t c = 0; c < size; ++c) {
          const double roundings_of_term = kUnit * terms + weight_rounding;
          own.Add(i, c, shape.scale() * forward.k[j][c], d_s, d_s_error, roundings_of_term);
          own.Add(j, size + c, shape.scale() * forward.q[i][c], d_s, d_s_error, roundings_of_term);
          own.Add(j, 2 * size + c, d_out[i][c], p, p_error, roundings_of_term);
        }
      }
    }
    const std::int64_t kv_head = ExactHead::KvHead(shape, head);
    const std::int64_t first_row = sequence * shape.positions;
    AddColumns(own, 0, first_row, head * size, size, false);
    AddColumns(own, size, first_row, (shape.heads + kv_head) * size, size, rounds_heads);
    AddColumns(own, 2 * size, first_row, (shape.heads + shape.kv_heads + kv_head) * size, size, rounds_heads);
  }

 private:
  /// What one query head adds to the gradients of its query, its key and its value: 3 K columns.
  struct HeadSums {
    Matrix exact, bound;

    explicit HeadSums(const AttentionShape& shape)
        : exact(shape.positions, 3 * shape.head_size), bound(shape.positions, 3 * shape.head_size) {}

    /// Adds factor * term, a term that is off by up to `error` and goes through roundings that cost up to `relative`.
    void Add(std::int64_t row, std::int64_t column, double factor, double term, double error, double relative) {
      exact[row][column] += factor * term;
      bound[row][column] += std::abs(factor) * (error + relative * (std::abs(term) + error));
    }
  };

  /// Adds `count` columns from `begin` on to those from `column` on in the rows from `first_row` on.
  void AddColumns(const HeadSums& own, std::int64_t begin, std::int64_t first_row, std::int64_t column,
                  std::int64_t count, bool rounded) {
    const auto rows = static_cast<std::int64_t>(own.exact.values.size()) / own.exact.columns;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t c = 0; c < count; ++c) {
        const double sum = own.exact[row][begin + c];
        const double error = own.bound[row][begin + c];
        exact[first_row + row][column + c] += sum;
        bound[first_row + row][column + c] += error + (rounded ? HalfUlp(DType::kBF16, std::abs(sum) + error) : 0.0);
      }
    }
  }
};

/// out and lse as an exact forward op writes them.
void FillForwardResults(const AttentionShape& shape, const Operands& operands, TensorView out, TensorView lse) {
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const ExactHead exact(shape, operands["qkv"], b, h);
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
    operands.Output("d_qkv", {shape.tokens(), shape.width()}, shape.dtype);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    AttentionBackward(ctx, {.qkv = operands["qkv"],
                            .out = operands["out"],
                            .lse = operands["lse"],
                            .d_out = operands["d_out"],
                            .d_qkv = operands["d_qkv"],
                            .heads = shape.heads,
                            .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    const Gradients gradients(shape, before, checker);
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
        for (std::int64_t j = 0; j <= i; ++j) {
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
    const Gradients gradients(shape, before, checker);
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
  const AttentionShape shapes[] = {
      {.dtype = kF32, .sequences = 1, .positions = 1, .heads = 1, .kv_heads = 1, .head_size = 1},
      {.dtype = kBF16, .sequences = 3, .positions = 1, .heads = 2, .kv_heads = 1, .head_size = 2},
      {.dtype = kF32, .sequences = 2, .positions = 2, .heads = 3, .kv_heads = 3, .head_size = 5},
      // Around the tiles' edges: 64 queries, 256 keys.
      {.dtype = kF32, .sequences = 1, .positions = 63, .heads = 2, .kv_heads = 2, .head_size = 8},
      {.dtype = kF32, .sequences = 1, .positions = 64, .heads = 1, .kv_heads = 1, .head_size = 16},
      {.dtype = kF32, .sequences = 2, .positions = 65, .heads = 2, .kv_heads = 1, .head_size = 7},
      {.dtype = kBF16, .sequences = 1, .positions = 256, .heads = 2, .kv_heads = 2, .head_size = 32},
      {.dtype = kF32, .sequences = 1, .positions = 257, .heads = 1, .kv_heads = 1, .head_size = 24},
      {.dtype = kF32, .sequences = 1, .positions = 331, .heads = 4, .kv_heads = 2, .head_size = 20},
      {.dtype = kBF16, .sequences = 1, .positions = 600, .heads = 2, .kv_heads = 1, .head_size = 12},
      // Several query heads a key head.
      {.dtype = kF32, .sequences = 2, .positions = 37, .heads = 6, .kv_heads = 2, .head_size = 10},
      {.dtype = kBF16, .sequences = 2, .positions = 101, .heads = 5, .kv_heads = 1, .head_size = 32},
      // Gradients of keys in several spans.
      {.dtype = kF32, .sequences = 1, .positions = 150, .heads = 2, .kv_heads = 1, .head_size = kMaxHeadSize},
      {.dtype = kBF16, .sequences = 1, .positions = 300, .heads = 1, .kv_heads = 1, .head_size = 2048},
      // Flat, saturated and wild softmax.
      {.dtype = kF32, .sequences = 1, .positions = 90, .heads = 2, .kv_heads = 2, .head_size = 16, .data = Data::kTiny},
      {.dtype = kF32,
       .sequences = 1,
       .positions = 90,
       .heads = 2,
       .kv_heads = 1,
       .head_size = 16,
       .data = Data::kIntegers},
      {.dtype = kBF16,
       .sequences = 1,
       .positions = 90,
       .heads = 2,
       .kv_heads = 1,
       .head_size = 64,
       .data = Data::kIntegers},
      {.dtype = kF32,
       .sequences = 1,
       .positions = 130,
       .heads = 2,
       .kv_heads = 1,
       .head_size = 16,
       .data = Data::kOutliers},
      {.dtype = kF32,
       .sequences = 1,
       .positions = 300,
       .heads = 2,
       .kv_heads = 2,
       .head_size = 16,
       .data = Data::kHeavyTails},
      // Scores of 10^9: only where recomputed probabilities are kept from exceeding 1, so not a multiple of 8.
      {.dtype = kBF16,
       .sequences = 1,
       .positions = 70,
       .heads = 2,
       .kv_heads = 2,
       .head_size = 12,
       .data = Data::kHeavyTails},
      // Fused kernels on tensor cores, around their tiles of 64 and 128 positions.
      {.dtype = kBF16, .sequences = 2, .positions = 1, .heads = 4, .kv_heads = 2, .head_size = 64},
      {.dtype = kBF16, .sequences = 3, .positions = 2, .heads = 2, .kv_heads = 1, .head_size = 8},
      {.dtype = kBF16, .sequences = 2, .positions = 63, .heads = 4, .kv_heads = 2, .head_size = 128},
      {.dtype = kBF16, .sequences = 2, .positions = 128, .heads = 2, .kv_heads = 2, .head_size = 64},
      {.dtype = kBF16, .sequences = 2, .positions = 257, .heads = 4, .kv_heads = 1, .head_size = 64},
      {.dtype = kBF16, .sequences = 1, .positions = 257, .heads = 2, .kv_heads = 2, .head_size = 128},
      {.dtype = kBF16, .sequences = 1, .positions = 129, .heads = 2, .kv_heads = 1, .head_size = 72},
      {.dtype = kBF16, .sequences = 1, .positions = 130, .heads = 2, .kv_heads = 1, .head_size = 256},
      {.dtype = kBF16, .sequences = 8, .positions = 256, .heads = 4, .kv_heads = 4, .head_size = 64},
  };
  std::vector<OpCase> cases;
  for (const AttentionShape& shape : shapes) {
    cases.push_back(ForwardCase(shape));
    cases.push_back(BackwardCase(shape));
  }
  cases.push_back(ForwardCase(
      {.dtype = kF32, .sequences = 1, .positions = 70, .heads = 2, .kv_heads = 2, .head_size = 8, .nan_query = 66}));
  cases.push_back(ForwardCase(
      {.dtype = kBF16, .sequences = 2, .positions = 70, .heads = 2, .kv_heads = 1, .head_size = 64, .nan_query = 66}));
  cases.push_back(
      DerivativeCase({.dtype = kF32, .sequences = 2, .positions = 5, .heads = 4, .kv_heads = 2, .head_size = 3}));
  return cases;
}

}  // namespace coat
