#pragma once
// A line a case where cases have five sizes.

#include <array>
#include <cstdint>

namespace coat {

/// `rest`, a case of attention or of its rotation, with these sizes: B, T, H, Hk and K.
template <class Shape>
Shape WithHeadSizes(const std::array<std::int64_t, 5>& sizes, Shape rest) {
  rest.sequences = sizes[0];
  rest.positions = sizes[1];
  rest.heads = sizes[2];
  rest.kv_heads = sizes[3];
  rest.head_size = sizes[4];
  return rest;
}

}  // namespace coat
