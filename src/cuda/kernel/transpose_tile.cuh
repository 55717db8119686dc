#pragma once
// Transposition of tiles of FP8 codes in shared memory, without bank conflicts.
//
// A tile has 128 rows. A warp holds 16 rows of it, lane l a patch of 4 rows (from row 4 (l / 8) of the 16 on) and
// kPatch columns (from column kPatch (l % 8) of the warp's on), so that a warp reads whole sectors of a row-major
// matrix. Columns lie in shared memory one after the other, 32 words of 4 rows each; the 8 pieces of 16 bytes of a
// column change places by an exclusive or with the number of its patch. Then the 32 lanes write one word each into 32
// banks, and 8 lanes read a whole column in pieces of 16 bytes.

#include <cstdint>

#include "cuda/kernel/fp8.cuh"
#include "cuda/kernel/vector_access.cuh"

namespace coat::cuda {

constexpr int kTileRows = 128;
constexpr int kTileWords = kTileRows / 4;  // of a column
constexpr int kPatchRows = 4;
constexpr int kLanesOfRow = 8;                                 // lanes of a warp that hold columns of the same rows
constexpr int kWarpRows = 32 / kLanesOfRow * kPatchRows;       // rows that a warp holds
constexpr int kPiece = 16;                                     // codes of one access to a column
constexpr int kPieces = kTileRows / kPiece;                    // of a column
constexpr int kWarpsOfColumn = kTileRows / kWarpRows;          // warps that hold the rows of a tile
static_assert(kPieces == kLanesOfRow && kWarpRows == kPiece);  // the arithmetic of the banks

/// The columns of a 4 x 4 matrix of bytes given by its rows.
__device__ inline void TransposeWords(const std::uint32_t (&rows)[4], std::uint32_t (&columns)[4]) {
  const std::uint32_t first_of_upper = __byte_perm(rows[0], rows[1], 0x5140);
  const std::uint32_t first_of_lower = __byte_perm(rows[2], rows[3], 0x5140);
  const std::uint32_t last_of_upper = __byte_perm(rows[0], rows[1], 0x7362);
  const std::uint32_t last_of_lower = __byte_perm(rows[2], rows[3], 0x7362);
  columns[0] = __byte_perm(first_of_upper, first_of_lower, 0x5410);
  columns[1] = __byte_perm(first_of_upper, first_of_lower, 0x7632);
  columns[2] = __byte_perm(last_of_upper, last_of_lower, 0x5410);
  columns[3] = __byte_perm(last_of_upper, last_of_lower, 0x7632);
}

/// Where piece `piece` of a column begins, in words.
template <int kPatch>
__device__ inline int PieceAt(int column, int piece) {
  return column * kTileWords + (piece ^ (column / kPatch % kPieces)) * 4;
}

/// Writes a thread's patch, whose rows are `codes` and whose first column is `column` of the tile, into the tile.
/// `warp_row` counts the warps along the rows.
template <int kPatch>
__device__ inline void PutPatch(std::uint32_t* tile, int warp_row, int column, const Codes<kPatch> (&codes)[4]) {
  const int word = threadIdx.x % 32 / kLanesOfRow;
#pragma unroll
  for (int quarter = 0; quarter < kPatch / 4; ++quarter) {
    const std::uint32_t rows[4] = {codes[0].words[quarter], codes[1].words[quarter], codes[2].words[quarter],
                                   codes[3].words[quarter]};
    std::uint32_t columns[4];
    TransposeWords(rows, columns);
#pragma unroll
    for (int i = 0; i < 4; ++i) tile[PieceAt<kPatch>(column + quarter * 4 + i, warp_row) + word] = columns[i];
  }
}

/// Writes the tile's columns as rows of y_t [width, n] by the kThreads threads of the block: the tile begins at row
/// `row` and column `column` of x [n, width]. kVector: y_t is aligned to 16 bytes and n a multiple of 16.
template <int kPatch, int kColumns, int kThreads, bool kVector>
__device__ inline void StoreTransposed(const std::uint32_t* tile, std::int64_t row, std::int64_t column, std::int64_t n,
                                       std::int64_t width, std::uint8_t* y_t) {
  constexpr int kColumnsAtOnce = kThreads / kPieces;
  static_assert(kThreads % kPieces == 0 && kColumns % kColumnsAtOnce == 0);
  const int first = static_cast<int>(threadIdx.x) / kPieces;
  const int piece = static_cast<int>(threadIdx.x) % kPieces;
  const std::int64_t begin = row + piece * kPiece;
  if (begin >= n) return;
  std::uint8_t* const first_target = y_t + (column + first) * n + begin;
#pragma unroll(kVector ? kColumns / kColumnsAtOnce : 1)
  for (int i = 0; i < kColumns; i += kColumnsAtOnce) {
    if (column + first + i >= width) continue;
    const auto* codes = reinterpret_cast<const std::uint8_t*>(tile + PieceAt<kPatch>(first + i, piece));
    std::uint8_t* target = first_target + i * n;
    if constexpr (kVector) {
      StoreCodes(target, LoadCodes<kPiece>(codes));
    } else {
#pragma unroll 1
      for (int code = 0; code < kPiece && begin + code < n; ++code) target[code] = codes[code];
    }
  }
}

}  // namespace coat::cuda
