#pragma once
// What attention on the CPU reads and writes: rows of queries, keys and values as float32, keys and values in tiles.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/head_size.h"
#include "numerics/bfloat16.h"

namespace coat::cpu {

/// Queries of a tile.
inline constexpr std::int64_t kQueryRows = 64;

/// Floats of decoded keys and values that are kept: at least one tile, and a whole sequence if it is short.
inline constexpr std::int64_t kKeptFloats = 512 * 1024;

/// Keys of a tile: a multiple of kQueryRows, so that the causal mask alone leaves each query of a tile a key in each
/// tile that is not skipped.
constexpr std::int64_t KeyRows(std::int64_t head_size) {
  return head_size <= 1024 ? 256 : (head_size <= 2048 ? 128 : 64);
}
static_assert(2 * KeyRows(kMaxHeadSize) * kMaxHeadSize <= kKeptFloats);

/// Rows of float32 in memory.
struct Rows {
  const float* data;
  std::int64_t stride;
};

/// Rows [begin, end) of `width` values as float32 in `target`.
inline void DecodeRows(const BFloat16* source, std::int64_t stride, std::int64_t begin, std::int64_t end,
                       std::int64_t width, float* target) {
  for (std::int64_t r = begin; r < end; ++r) {
    for (std::int64_t c = 0; c < width; ++c) target[r * width + c] = ToFloat(source[r * stride + c]);
  }
}

/// `count` rows of `width` values as float32: where they are, or decoded into `buffer`.
inline Rows LoadRows(const float* source, std::int64_t stride, std::int64_t, std::int64_t, float*) {
  return {source, stride};
}
inline Rows LoadRows(const BFloat16* source, std::int64_t stride, std::int64_t count, std::int64_t width,
                     float* buffer) {
  DecodeRows(source, stride, 0, count, width, buffer);
  return {buffer, width};
}

/// The keys and the values of one head of one sequence as float32, a tile at a time. Decoded rows are kept as long as
/// there is room.
template <class T>
class KeyTiles {
 public:
  /// `keys` and `values` are the head's first rows, `buffer` is kKeptFloats long.
  KeyTiles(const T* keys, const T* values, std::int64_t stride, std::int64_t head_size, float* buffer)
      : keys_(keys),
        values_(values),
        stride_(stride),
        head_size_(head_size),
        key_rows_(KeyRows(head_size)),
        slots_(std::min(kMaxSlots, kKeptFloats / (2 * key_rows_ * head_size))),
        buffer_(buffer) {}

  struct Tile {
    std::int64_t begin, count;  // positions
    Rows keys, values;
  };
  /// Calls body(tile) for the tiles of the positions [begin, end), begin a multiple of KeyRows.
  template <class Body>
  void ForEach(std::int64_t begin, std::int64_t end, const Body& body) {
    for (; begin < end; begin += key_rows_) body(Load(begin, std::min(key_rows_, end - begin)));
  }

 private:
  /// Positions [begin, begin + count), begin a multiple of KeyRows and count at most that.
  Tile Load(std::int64_t begin, std::int64_t count) {
    const T* keys = keys_ + begin * stride_;
    const T* values = values_ + begin * stride_;
    if constexpr (std::is_same_v<T, float>) {
      return {begin, count, {keys, stride_}, {values, stride_}};
    } else {
      const std::int64_t tile = begin / key_rows_;
      Slot& slot = slot_[tile % slots_];
      if (slot.tile != tile) slot = {tile, 0};
      float* decoded_keys = buffer_ + tile % slots_ * 2 * key_rows_ * head_size_;
      float* decoded_values = decoded_keys + key_rows_ * head_size_;
      DecodeRows(keys, stride_, slot.rows, count, head_size_, decoded_keys);
      DecodeRows(values, stride_, slot.rows, count, head_size_, decoded_values);
      slot.rows = std::max(slot.rows, count);
      return {begin, count, {decoded_keys, head_size_}, {decoded_values, head_size_}};
    }
  }

  static constexpr std::int64_t kMaxSlots = 64;
  /// Which tile's first `rows` rows are decoded in a part of the buffer.
  struct Slot {
    std::int64_t tile = -1, rows = 0;
  };

  const T* const keys_;
  const T* const values_;
  const std::int64_t stride_;
  const std::int64_t head_size_;
  const std::int64_t key_rows_;
  const std::int64_t slots_;
  float* const buffer_;
  Slot slot_[kMaxSlots];
};

template <class T>
void StoreRows(const float* rows, std::int64_t count, std::int64_t width, T* target, std::int64_t stride) {
  for (std::int64_t r = 0; r < count; ++r) {
    for (std::int64_t c = 0; c < width; ++c) target[r * stride + c] = RoundTo<T>(rows[r * width + c]);
  }
}

}  // namespace coat::cpu
