#pragma once

#include <cstdint>
#include <cstring>

namespace coat::cpu {

namespace detail {

/// Transposes 8 x 8 bytes held as 8 rows: swaps 1 x 1, 2 x 2, then 4 x 4 blocks off the diagonal.
inline void TransposeEight(std::uint64_t (&rows)[8]) {
  const auto swap = [&rows](int distance, int shift, std::uint64_t mask) {
    for (int i = 0; i < 8; ++i) {
      if (i & distance) continue;
      const std::uint64_t moved = ((rows[i] >> shift) ^ rows[i + distance]) & mask;
      rows[i + distance] ^= moved;
      rows[i] ^= moved << shift;
    }
  };
  swap(1, 8, 0x00ff00ff00ff00ffull);
  swap(2, 16, 0x0000ffff0000ffffull);
  swap(4, 32, 0x00000000ffffffffull);
}

}  // namespace detail

/// out[c, r] = in[r, c] for a tile of bytes; the strides are the distances between rows. For tiles that fit into L1.
inline void TransposeTile(const std::uint8_t* in, std::int64_t in_stride, std::int64_t rows, std::int64_t columns,
                          std::uint8_t* out, std::int64_t out_stride) {
  const std::int64_t whole_rows = rows / 8 * 8;
  const std::int64_t whole_columns = columns / 8 * 8;
  for (std::int64_t c = 0; c < whole_columns; c += 8) {
    for (std::int64_t r = 0; r < whole_rows; r += 8) {
      std::uint64_t block[8];
      for (int i = 0; i < 8; ++i) std::memcpy(&block[i], in + (r + i) * in_stride + c, 8);
      detail::TransposeEight(block);
      for (int i = 0; i < 8; ++i) std::memcpy(out + (c + i) * out_stride + r, &block[i], 8);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
      out[c * out_stride + r] = in[r * in_stride + c];
    }
  }
}

}  // namespace coat::cpu
