#pragma once

#include <cstdint>

namespace coat::cuda {

/// What one attention is: B sequences of T positions, H query and Hk key and value heads of K columns.
struct AttentionExtents {
  std::int64_t sequences = 0, positions = 0, heads = 0, kv_heads = 0, head_size = 0;

  auto operator<=>(const AttentionExtents&) const = default;
  constexpr std::int64_t tokens() const { return sequences * positions; }
  /// Columns of qkv, and of out.
  constexpr std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  constexpr std::int64_t out_width() const { return heads * head_size; }
};

}  // namespace coat::cuda
