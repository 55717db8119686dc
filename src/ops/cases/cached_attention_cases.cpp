#include "ops/cached_attention.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "numerics/bfloat16.h"
#include "ops/cases/attention_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

struct CacheShape {
  DType dtype = DType::kF32;
  std::vector<std::int32_t> positions;  // of the new tokens
  std::int64_t rows = 1;                // of the cache
  std::int64_t heads = 1, kv_heads = 1, head_size = 1;
  Data data = Data::kNormal;
  bool perf = false;

  std::int64_t tokens() const { return static_cast<std::int64_t>(positions.size()); }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t cache_width() const { return 2 * kv_heads * head_size; }
  std::int64_t last() const { return *std::max_element(positions.begin(), positions.end()); }
  std::string Name() const {
    return fmt::format("{},N={},last={},T={},H={},Hk={},K={},{}", NameOf(dtype), tokens(), last(), rows, heads,
                       kv_heads, head_size, NameOf(data));
  }
};

TensorView AddPositions(const CacheShape& shape, Operands& operands) {
  const TensorView positions = operands.Indices("positions", {shape.tokens()}, 1, 0, 1);
  std::copy(shape.positions.begin(), shape.positions.end(), positions.As<std::int32_t>());
  return positions;
}

OpCase StoreCase(const CacheShape& shape) {
  OpCase op;
  op.name = "StoreKeysValues/" + shape.Name();
  op.bitwise = true;
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    operands.Input("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    AddPositions(shape, operands);
    operands.InOut("cache", {shape.rows, shape.cache_width()}, shape.dtype, seed, shape.data);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    StoreKeysValues(ctx, {.qkv = operands["qkv"],
                          .positions = operands["positions"],
                          .cache = operands["cache"],
                          .heads = shape.heads,
                          .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    const std::int64_t width = shape.cache_width();
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      const auto found = std::find(shape.positions.begin(), shape.positions.end(), row);
      const std::int64_t token = found - shape.positions.begin();
      for (std::int64_t c = 0; c < width; ++c) {
        const std::int64_t index = row * width + c;
        const double expected = token < shape.tokens() ? ValueAt(before["qkv"], (token + 1) * shape.width() - width + c)
                                                       : ValueAt(before["cache"], index);
        checker.Near("cache", index, ValueAt(after["cache"], index), expected, 0.0);
      }
    }
  };
  return op;
}

/// Rows that no token attends to hold NaN.
void PoisonUnread(const CacheShape& shape, TensorView cache) {
  const TensorView unread = cache.Rows(shape.last() + 1, shape.rows - shape.last() - 1);
  std::memset(unread.data(), 0xff, static_cast<std::size_t>(unread.bytes()));
}

void CheckHead(const CacheShape& shape, const Operands& before, const Operands& after, std::int64_t token,
               std::int64_t head, Checker& checker) {
  constexpr double kEpsilon = 0x1p-23;
  constexpr double kSmallestNormal = 0x1p-126;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const std::int64_t count = shape.positions[static_cast<std::size_t>(token)] + 1;
  const double scale = 1.0 / std::sqrt(static_cast<double>(shape.head_size));
  std::vector<double> scores(static_cast<std::size_t>(count));
  double largest_sum = 0.0;
  for (std::int64_t j = 0; j < count; ++j) {
    double score = 0.0;
    double magnitude = 0.0;
    for (std::int64_t c = 0; c < shape.head_size; ++c) {
      const double term = ValueAt(before["qkv"], token * shape.width() + head * shape.head_size + c) *
                          ValueAt(before["cache"], j * shape.cache_width() + kv_head * shape.head_size + c);
      score += scale * term;
      magnitude += scale * std::abs(term);
    }
    scores[static_cast<std::size_t>(j)] = score;
    largest_sum = std::max(largest_sum, magnitude);
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> probabilities = scores;
  double sum = 0.0;
  for (double& p : probabilities) sum += p = std::exp(p - largest);
  const auto length = static_cast<double>(count);
  const double unit = (length + (static_cast<double>(shape.head_size) + 2.0) * largest_sum + 16.0) * kEpsilon;
  const std::vector<double> p_errors = ProbabilityErrors(scores.data(), count, unit);
  for (std::int64_t c = 0; c < shape.head_size; ++c) {
    double exact = 0.0;
    double largest_value = 0.0;
    double weighted = 0.0;
    double misweighted = 0.0;
    for (std::int64_t j = 0; j < count; ++j) {
      const std::int64_t column = (shape.kv_heads + kv_head) * shape.head_size + c;
      const double value = ValueAt(before["cache"], j * shape.cache_width() + column);
      const double p = probabilities[static_cast<std::size_t>(j)] / sum;
      exact += p * value;
      largest_value = std::max(largest_value, std::abs(value));
      weighted += p * std::abs(value);
      misweighted += p_errors[static_cast<std::size_t>(j)] * std::abs(value);
    }
    // As for AttentionForward.
    const double of_scores =
        misweighted + (length + 16.0) * kEpsilon * (weighted + misweighted) + length * kSmallestNormal * largest_value;
    const double error = std::min(std::min(unit, 2.0 + kEpsilon * length) * largest_value, of_scores) +
                         HalfUlp(DType::kF32, 0.0) * length;
    const std::int64_t index = (token * shape.heads + head) * shape.head_size + c;
    checker.Near("out", index, ValueAt(after["out"], index), exact,
                 error + HalfUlp(shape.dtype, std::abs(exact) + error));
  }
}

OpCase AttentionCase(const CacheShape& shape) {
  OpCase op;
  op.name = "CachedAttention/" + shape.Name();
  op.make = [shape](std::uint64_t seed) {
    Operands operands;
    operands.Input("qkv", {shape.tokens(), shape.width()}, shape.dtype, seed, shape.data);
    AddPositions(shape, operands);
    PoisonUnread(shape, operands.Input("cache", {shape.rows, shape.cache_width()}, shape.dtype, seed, shape.data));
    operands.Output("out", {shape.tokens(), shape.heads * shape.head_size}, shape.dtype);
    return operands;
  };
  op.call = [shape](Context& ctx, const Operands& operands) {
    CachedAttention(ctx, {.qkv = operands["qkv"],
                          .positions = operands["positions"],
                          .cache = operands["cache"],
                          .out = operands["out"],
                          .heads = shape.heads,
                          .kv_heads = shape.kv_heads});
  };
  op.check = [shape](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t token = 0; token < shape.tokens(); ++token) {
      for (std::int64_t head = 0; head < shape.heads; ++head) CheckHead(shape, before, after, token, head, checker);
    }
  };
  if (shape.perf) {
    double read = 0.0;
    for (const std::int32_t position : shape.positions) read += position + 1;
    op.bytes = read * static_cast<double>(shape.cache_width() * SizeOf(shape.dtype));
    op.flops = read * static_cast<double>(4 * shape.heads * shape.head_size);
  }
  return op;
}

}  // namespace

std::vector<OpCase> CachedAttentionCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  const CacheShape shapes[] = {
      {.dtype = kF32, .positions = {0}, .rows = 1, .heads = 1, .kv_heads = 1, .head_size = 1},
      {.dtype = kBF16, .positions = {0}, .rows = 4, .heads = 2, .kv_heads = 1, .head_size = 2},
      {.dtype = kF32, .positions = {3, 1, 2}, .rows = 7, .heads = 3, .kv_heads = 3, .head_size = 5},
      // Around the tiles' edges: 256 positions.
      {.dtype = kF32, .positions = {254}, .rows = 300, .heads = 2, .kv_heads = 2, .head_size = 8},
      {.dtype = kF32, .positions = {255}, .rows = 256, .heads = 4, .kv_heads = 2, .head_size = 16},
      {.dtype = kBF16, .positions = {256}, .rows = 257, .heads = 4, .kv_heads = 1, .head_size = 64},
      {.dtype = kBF16, .positions = {511, 512, 513}, .rows = 600, .heads = 2, .kv_heads = 2, .head_size = 72},
      {.dtype = kF32, .positions = {1023, 17}, .rows = 1024, .heads = 6, .kv_heads = 2, .head_size = 33},
      // Around what the warps of a block have in flight: 16 rows each once, 128 rows and, of wide heads, 64.
      {.dtype = kBF16, .positions = {14, 15, 16}, .rows = 20, .heads = 2, .kv_heads = 1, .head_size = 128},
      {.dtype = kBF16, .positions = {126, 127, 128}, .rows = 130, .heads = 2, .kv_heads = 1, .head_size = 128},
      {.dtype = kF32, .positions = {62, 63, 64, 128}, .rows = 130, .heads = 2, .kv_heads = 2, .head_size = 129},
      {.dtype = kBF16, .positions = {300}, .rows = 301, .heads = 2, .kv_heads = 1, .head_size = 256},
      // Heads wider than a block of threads.
      {.dtype = kF32, .positions = {40}, .rows = 50, .heads = 2, .kv_heads = 1, .head_size = 300},
      {.dtype = kBF16, .positions = {300}, .rows = 301, .heads = 1, .kv_heads = 1, .head_size = kMaxHeadSize},
      // Flat, saturated and wild softmax.
      {.dtype = kF32, .positions = {90}, .rows = 100, .heads = 2, .kv_heads = 2, .head_size = 16, .data = Data::kTiny},
      {.dtype = kBF16,
       .positions = {90, 91},
       .rows = 100,
       .heads = 2,
       .kv_heads = 1,
       .head_size = 64,
       .data = Data::kIntegers},
      {.dtype = kF32,
       .positions = {300},
       .rows = 400,
       .heads = 2,
       .kv_heads = 1,
       .head_size = 16,
       .data = Data::kOutliers},
      {.dtype = kF32,
       .positions = {300},
       .rows = 400,
       .heads = 2,
       .kv_heads = 2,
       .head_size = 16,
       .data = Data::kHeavyTails},
      // A token of OLMo-1B.
      {.dtype = kBF16, .positions = {2047}, .rows = 2048, .heads = 16, .kv_heads = 16, .head_size = 128, .perf = true},
  };
  std::vector<OpCase> cases;
  for (const CacheShape& shape : shapes) {
    cases.push_back(StoreCase(shape));
    cases.push_back(AttentionCase(shape));
  }
  return cases;
}

}  // namespace coat
