#include "ops/cases/attention_reference.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace coat {

namespace {

constexpr double kEpsilon = 0x1p-23;

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

}  // namespace

double AttentionShape::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(head_size));
}

std::vector<std::int64_t> AttentionShape::DocumentStarts() const {
  std::vector<std::int64_t> starts(static_cast<std::size_t>(tokens()), 0);
  if (documents.empty()) return starts;
  std::size_t next = 0;
  std::int64_t start = 0;
  std::int64_t end = 0;
  for (std::int64_t token = 0; token < tokens(); ++token) {
    const std::int64_t position = token % positions;
    if (position == 0 || position == end) {
      start = position;
      end = start + documents[next++ % documents.size()];
    }
    starts[static_cast<std::size_t>(token)] = start;
  }
  return starts;
}

std::string AttentionShape::Name() const {
  std::string name = fmt::format("{},B={},T={},H={},Hk={},K={},{}", NameOf(dtype), sequences, positions, heads,
                                 kv_heads, head_size, NameOf(data));
  if (nan_query >= 0) name += fmt::format(",nan_query={}", nan_query);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    name += fmt::format("{}{}", i == 0 ? ",documents=" : "_", documents[i]);
  }
  return name;
}

std::vector<double> ProbabilityErrors(const double* scores, std::int64_t count, double error) {
  std::vector<double> errors(static_cast<std::size_t>(count), 0.0);
  if (count == 1) return errors;
  const std::int64_t best = std::max_element(scores, scores + count) - scores;
  const double largest = scores[best];
  double others = 0.0;  // of the best: taken from a sum with it, nothing might be left of them
  double second = -std::numeric_limits<double>::infinity();
  for (std::int64_t j = 0; j < count; ++j) {
    if (j != best) second = std::max(second, scores[j]);
  }
  for (std::int64_t j = 0; j < count; ++j) {
    if (j != best) others += std::exp(scores[j] - second);
  }
  const double log_others = second + std::log(others);
  const double log_sum = largest + std::log1p(std::exp(log_others - largest));
  for (std::int64_t j = 0; j < count; ++j) {
    // Others have at most half of the sum.
    const double rest = j == best ? log_others : log_sum + std::log1p(-std::exp(scores[j] - log_sum));
    const double x = scores[j] - rest;
    const auto probability = [](double y) { return 1.0 / (1.0 + std::exp(-y)); };
    errors[static_cast<std::size_t>(j)] =
        std::max(probability(x + 2.0 * error) - probability(x), probability(x) - probability(x - 2.0 * error));
  }
  return errors;
}

double AttentionWeightRounding(const AttentionShape& shape, const Checker& checker) {
  return shape.dtype == DType::kBF16 && checker.device() == DeviceKind::kCuda ? 0x1p-8 : 0.0;
}

ExactAttention::ExactAttention(const AttentionShape& shape, ConstTensorView qkv, std::int64_t sequence,
                               std::int64_t head)
    : first(static_cast<std::size_t>(shape.positions)),
      q(HeadOf(shape, qkv, sequence, head * shape.head_size)),
      k(HeadOf(shape, qkv, sequence, (shape.heads + shape.kv_head(head)) * shape.head_size)),
      v(HeadOf(shape, qkv, sequence, (shape.heads + shape.kv_heads + shape.kv_head(head)) * shape.head_size)),
      scores(shape.positions, shape.positions),
      magnitudes(shape.positions, shape.positions),
      probabilities(shape.positions, shape.positions),
      lse(static_cast<std::size_t>(shape.positions)),
      out(shape.positions, shape.head_size) {
  const std::vector<std::int64_t> starts = shape.DocumentStarts();
  std::copy_n(starts.begin() + sequence * shape.positions, shape.positions, first.begin());
  for (std::int64_t i = 0; i < shape.positions; ++i) {
    const std::int64_t start = first[static_cast<std::size_t>(i)];
    for (std::int64_t j = start; j <= i; ++j) {
      scores[i][j] = shape.scale() * Dot(q[i], k[j], shape.head_size);
      magnitudes[i][j] = shape.scale() * DotOfMagnitudes(q[i], k[j], shape.head_size);
    }
    const double largest = *std::max_element(scores[i] + start, scores[i] + i + 1);
    double sum = 0.0;
    for (std::int64_t j = start; j <= i; ++j) sum += std::exp(scores[i][j] - largest);
    lse[static_cast<std::size_t>(i)] = largest + std::log(sum);
    for (std::int64_t j = start; j <= i; ++j) {
      probabilities[i][j] = std::exp(scores[i][j] - largest) / sum;
      for (std::int64_t c = 0; c < shape.head_size; ++c) out[i][c] += probabilities[i][j] * v[j][c];
    }
  }
}

struct ExactAttentionGradients::HeadSums {
  Matrix exact, bound;

  explicit HeadSums(const AttentionShape& shape)
      : exact(shape.positions, 3 * shape.head_size), bound(shape.positions, 3 * shape.head_size) {}

  /// Adds factor * term, a term that is off by up to `error` and goes through roundings that cost up to `relative`.
  void Add(std::int64_t row, std::int64_t column, double factor, double term, double error, double relative) {
    exact[row][column] += factor * term;
    bound[row][column] += std::abs(factor) * (error + relative * (std::abs(term) + error));
  }
};

ExactAttentionGradients::ExactAttentionGradients(const AttentionShape& shape, const Operands& operands,
                                                 const Checker& checker)
    : exact(shape.tokens(), shape.width()),
      bound(shape.tokens(), shape.width()),
      weight_rounding_(AttentionWeightRounding(shape, checker)),
      rounds_heads_(weight_rounding_ > 0.0 && shape.heads > shape.kv_heads) {
  for (std::int64_t b = 0; b < shape.sequences; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) AddHead(shape, operands, b, h);
  }
}

void ExactAttentionGradients::AddHead(const AttentionShape& shape, const Operands& operands, std::int64_t sequence,
                                      std::int64_t head) {
  constexpr double kUnit = 0.5 * kEpsilon;
  const std::int64_t size = shape.head_size;
  const ExactAttention forward(shape, operands["qkv"], sequence, head);
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
    for (std::int64_t j = forward.first[static_cast<std::size_t>(i)]; j <= i; ++j) {
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
        const double roundings_of_term = kUnit * terms + weight_rounding_;
        own.Add(i, c, shape.scale() * forward.k[j][c], d_s, d_s_error, roundings_of_term);
        own.Add(j, size + c, shape.scale() * forward.q[i][c], d_s, d_s_error, roundings_of_term);
        own.Add(j, 2 * size + c, d_out[i][c], p, p_error, roundings_of_term);
      }
    }
  }
  const std::int64_t kv_head = shape.kv_head(head);
  const std::int64_t first_row = sequence * shape.positions;
  AddColumns(own, 0, first_row, head * size, size, false);
  AddColumns(own, size, first_row, (shape.heads + kv_head) * size, size, rounds_heads_);
  AddColumns(own, 2 * size, first_row, (shape.heads + shape.kv_heads + kv_head) * size, size, rounds_heads_);
}

void ExactAttentionGradients::AddColumns(const HeadSums& own, std::int64_t begin, std::int64_t first_row,
                                         std::int64_t column, std::int64_t count, bool rounded) {
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

}  // namespace coat
