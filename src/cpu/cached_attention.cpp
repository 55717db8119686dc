#include "ops/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "cpu/lanes.h"
#include "numerics/elementary.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

/// Positions whose scores are held at a time.
constexpr std::int64_t kTile = 256;

struct Layout {
  std::int64_t heads, kv_heads, head_size;

  std::int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t cache_width() const { return 2 * kv_heads * head_size; }
};

Layout LayoutOf(ConstTensorView qkv, std::int64_t heads, std::int64_t kv_heads) {
  return {heads, kv_heads, qkv.shape()[1] / (heads + 2 * kv_heads)};
}

/// One head of one query: `keys` and `values` are the head's first rows of `count`, `sums` has room for K floats.
template <class T>
void Attend(const T* query, const T* keys, const T* values, std::int64_t stride, std::int64_t count, std::int64_t size,
            float* sums, T* out) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
  std::fill(sums, sums + size, 0.0f);
  float weights[kTile];
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  for (std::int64_t first = 0; first < count; first += kTile) {
    const std::int64_t rows = std::min(kTile, count - first);
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* key = keys + (first + r) * stride;
      weights[r] = scale * LaneSum(size, [&](std::int64_t c) { return ToFloat(query[c]) * ToFloat(key[c]); });
    }
    const float tile_largest = LaneMax(rows, [&](std::int64_t r) { return weights[r]; });
    const float new_largest = tile_largest > largest ? tile_largest : largest;
    const float factor = Exp(largest - new_largest);
    for (std::int64_t r = 0; r < rows; ++r) weights[r] = Exp(weights[r] - new_largest);
    sum = sum * factor + LaneSum(rows, [&](std::int64_t r) { return weights[r]; });
    largest = new_largest;
    for (std::int64_t c = 0; c < size; ++c) sums[c] *= factor;
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* value = values + (first + r) * stride;
      for (std::int64_t c = 0; c < size; ++c) sums[c] += weights[r] * ToFloat(value[c]);
    }
  }
  const float inverse = 1.0f / sum;
  for (std::int64_t c = 0; c < size; ++c) out[c] = RoundTo<T>(sums[c] * inverse);
}

}  // namespace

void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args) {
  const Layout layout = LayoutOf(args.qkv, args.heads, args.kv_heads);
  const auto* positions = args.positions.As<std::int32_t>();
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.qkv.shape()[0], 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* from = args.qkv.As<T>() + n * layout.qkv_width() + layout.heads * layout.head_size;
        std::copy_n(from, layout.cache_width(), args.cache.As<T>() + positions[n] * layout.cache_width());
      }
    });
  });
}

void CachedAttention(Context& ctx, const CachedAttentionArgs& args) {
  const Layout layout = LayoutOf(args.qkv, args.heads, args.kv_heads);
  const auto* positions = args.positions.As<std::int32_t>();
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelFor(args.qkv.shape()[0] * layout.heads, [&](std::int64_t index, int worker) {
      const std::int64_t n = index / layout.heads;
      const std::int64_t head = index % layout.heads;
      const std::int64_t kv_head = head / (layout.heads / layout.kv_heads);
      const T* keys = args.cache.As<T>() + kv_head * layout.head_size;
      const T* values = keys + layout.kv_heads * layout.head_size;
      Attend(args.qkv.As<T>() + n * layout.qkv_width() + head * layout.head_size, keys, values, layout.cache_width(),
             positions[n] + std::int64_t{1}, layout.head_size, reinterpret_cast<float*>(ctx.Workspace(worker)),
             args.out.As<T>() + index * layout.head_size);
    });
  });
}

}  // namespace coat::cpu
