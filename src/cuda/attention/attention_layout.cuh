#pragma once

#include <cstdint>

#include "cuda/attention/attention_extents.h"
#include "numerics/elementary.h"

namespace coat::cuda {

/// Where things are in attention's tensors, for both directions; d_qkv has qkv's layout, d_out has out's.
struct AttentionLayout {
  AttentionExtents extents;
  float scale;
  const std::int32_t* documents;  // [N], or null

  /// The first key that a query sees.
  __device__ std::int64_t FirstKey(std::int64_t sequence, std::int64_t position) const {
    if (documents == nullptr) return 0;
    const std::int64_t start = documents[sequence * extents.positions + position];
    return start < 0 ? 0 : min(start, position);
  }

  __device__ std::int64_t group() const { return extents.heads / extents.kv_heads; }
  /// Elements of qkv before a position's columns.
  __device__ std::int64_t Qkv(std::int64_t sequence, std::int64_t position, std::int64_t column) const {
    return (sequence * extents.positions + position) * extents.width() + column;
  }
  __device__ std::int64_t Out(std::int64_t sequence, std::int64_t position, std::int64_t head) const {
    return (sequence * extents.positions + position) * extents.out_width() + head * extents.head_size;
  }
  __device__ std::int64_t Lse(std::int64_t sequence, std::int64_t position, std::int64_t head) const {
    return (sequence * extents.heads + head) * extents.positions + position;
  }
  __device__ std::int64_t query_column(std::int64_t head) const { return head * extents.head_size; }
  __device__ std::int64_t key_column(std::int64_t kv_head) const {
    return (extents.heads + kv_head) * extents.head_size;
  }
  __device__ std::int64_t value_column(std::int64_t kv_head) const {
    return (extents.heads + extents.kv_heads + kv_head) * extents.head_size;
  }
};

/// ln(sum) of a sum of exponentials, at least 1; NaN for a sum that is NaN or infinite.
__device__ inline float LogOfSum(float sum) {
  constexpr float kLn2 = 0.693147181f;
  const float zero_or_nan = sum - sum;
  return Log2(sum) * kLn2 + zero_or_nan;
}

/// exp(score - lse), at most 1: a score may exceed lse by a rounding.
__device__ inline float Probability(float score, float lse) {
  const float logarithm = score - lse;
  return Exp(logarithm > 0.0f ? 0.0f : logarithm);
}

}  // namespace coat::cuda
