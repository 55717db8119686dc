#pragma once
// Attention of bfloat16 within documents, on tensor cores: tiles of 64 queries meet tiles of 64 keys, and tiles that no
// query of a document sees are skipped. Heads have up to kColumns columns, a multiple of 8. Sums have a fixed order.

#include <cstdint>
#include <limits>

#include "base/divide.h"
#include "cuda/attention/attention_layout.cuh"
#include "cuda/attention/document_attention_tiles.cuh"

namespace coat::cuda {

template <int kColumns>
struct ForwardTiles {
  HeadTile<kColumns> query, key, value;
};
template <int kColumns>
struct QueryGradientTiles {
  HeadTile<kColumns> query, d_out, key, value;
  float delta[kDocumentRows];
};
template <int kColumns>
struct KeyGradientTiles {
  HeadTile<kColumns> key, value, query, d_out;
  float delta[kDocumentRows], lse[kDocumentRows];
  int first_key[kDocumentRows];
};

/// Which 64 positions of which head of which sequence a block has.
struct TilePlace {
  std::int64_t sequence, head, first;
  int rows;  // of the tile that lie in the sequence

  __device__ TilePlace(std::int64_t index, std::int64_t heads, std::int64_t positions) {
    const std::int64_t tiles = DivideUp(positions, kDocumentRows);
    sequence = index / tiles / heads;
    head = index / tiles % heads;
    first = index % tiles * kDocumentRows;
    rows = RowsFrom(first, positions);
  }
  __device__ static int RowsFrom(std::int64_t first, std::int64_t positions) {
    return static_cast<int>(min(static_cast<std::int64_t>(kDocumentRows), positions - first));
  }
};

/// sum(d_out out) of the 64 rows of a tile, 0 beyond `rows`: by a block, two threads a row.
__device__ inline void ComputeDelta(const BFloat16* out, const BFloat16* d_out, std::int64_t stride, int rows,
                                    int columns, float* delta) {
  const int row = static_cast<int>(threadIdx.x) / 2;
  float sum = 0.0f;
  if (row < rows) {
    for (int c = static_cast<int>(threadIdx.x) % 2; c < columns; c += 2) {
      sum = fmaf(ToFloat(d_out[row * stride + c]), ToFloat(out[row * stride + c]), sum);
    }
  }
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  if (threadIdx.x % 2 == 0) delta[row] = sum;
}

/// The softmax of a lane's two rows so far: their largest scores, and its part of the sums of exp(score - largest).
struct RowsSoftmax {
  float largest[2] = {-std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  float sum[2] = {};

  /// Replaces the scores of row `half`, -infinity where they are hidden, by exp(score - largest). Returns the factor
  /// for what was weighted before.
  __device__ float Take(int half, WarpSums<64>& scores) {
    float found = -std::numeric_limits<float>::infinity();
#pragma unroll
    for (int n = 0; n < 8; ++n) found = fmaxf(found, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    const float new_largest = fmaxf(largest[half], LargestOfRow(found));
    // A row that has seen no key yet has no largest score.
    const float base = new_largest == -std::numeric_limits<float>::infinity() ? 0.0f : new_largest;
    const float factor = Exp(largest[half] - base);
    float of_tile = 0.0f;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = Exp(scores[n][i] - base);
        of_tile += scores[n][i];
      }
    }
    sum[half] = sum[half] * factor + of_tile;
    largest[half] = new_largest;
    return factor;
  }
};

/// A block takes 64 queries of one head.
template <int kColumns>
__global__ void __launch_bounds__(kDocumentThreads)
    DocumentForwardKernel(const BFloat16* __restrict__ qkv, BFloat16* __restrict__ out, float* __restrict__ lse,
                          AttentionLayout layout) {
  extern __shared__ uint4 document_memory[];
  auto& tiles = *reinterpret_cast<ForwardTiles<kColumns>*>(document_memory);
  const AttentionExtents& x = layout.extents;
  const TilePlace place(blockIdx.x, x.heads, x.positions);
  const int size = static_cast<int>(x.head_size);
  const std::int64_t kv_head = place.head / layout.group();
  const BFloat16* keys = qkv + layout.Qkv(place.sequence, 0, layout.key_column(kv_head));
  const BFloat16* values = qkv + layout.Qkv(place.sequence, 0, layout.value_column(kv_head));
  LoadTile(qkv + layout.Qkv(place.sequence, place.first, layout.query_column(place.head)), x.width(), place.rows, size,
           tiles.query);

  std::int64_t position[2];
  std::int64_t first_key[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    position[half] = place.first + RowOfLane(half);
    const bool exists = RowOfLane(half) < place.rows;
    first_key[half] = exists ? layout.FirstKey(place.sequence, position[half]) : position[half];
  }
  RowsSoftmax softmax;
  WarpSums<kColumns> sums = {};
  for (std::int64_t first = layout.FirstKey(place.sequence, place.first) / kDocumentRows * kDocumentRows;
       first < place.first + place.rows; first += kDocumentRows) {
    const int rows = TilePlace::RowsFrom(first, x.positions);
    __syncthreads();  // the tiles before these are done with
    LoadTile(keys + first * x.width(), x.width(), rows, size, tiles.key);
    LoadTile(values + first * x.width(), x.width(), rows, size, tiles.value);
    __syncthreads();
    WarpSums<64> scores = {};
    MultiplyByTransposed(tiles.query, tiles.key, scores);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const std::int64_t key = first + 8 * n + ColumnOfLane() + i;
          const bool visible = key >= first_key[half] && key <= position[half];
          float& score = scores[n][2 * half + i];
          score = visible ? score * layout.scale : -std::numeric_limits<float>::infinity();
        }
      }
      const float factor = softmax.Take(half, scores);
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n) {
        sums[n][2 * half] *= factor;
        sums[n][2 * half + 1] *= factor;
      }
    }
    MultiplyByTile(scores, tiles.value, sums);
  }
  float factors[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float total = SumOfRow(softmax.sum[half]);
    factors[half] = 1.0f / total;
    if (RowOfLane(half) < place.rows && LaneOfWarp() % 4 == 0) {
      lse[layout.Lse(place.sequence, position[half], place.head)] = softmax.largest[half] + LogOfSum(total);
    }
  }
  StoreTile<kColumns>(sums, factors, place.rows, size, out + layout.Out(place.sequence, place.first, place.head),
                      x.out_width());
}

/// A block takes 64 queries of one head and sums their gradients over the keys that they see.
template <int kColumns>
__global__ void __launch_bounds__(kDocumentThreads)
    DocumentQueryGradientKernel(const BFloat16* __restrict__ qkv, const BFloat16* __restrict__ out,
                                const float* __restrict__ lse, const BFloat16* __restrict__ d_out,
                                BFloat16* __restrict__ d_qkv, AttentionLayout layout) {
  extern __shared__ uint4 document_memory[];
  auto& tiles = *reinterpret_cast<QueryGradientTiles<kColumns>*>(document_memory);
  const AttentionExtents& x = layout.extents;
  const TilePlace place(blockIdx.x, x.heads, x.positions);
  const int size = static_cast<int>(x.head_size);
  const std::int64_t kv_head = place.head / layout.group();
  const BFloat16* keys = qkv + layout.Qkv(place.sequence, 0, layout.key_column(kv_head));
  const BFloat16* values = qkv + layout.Qkv(place.sequence, 0, layout.value_column(kv_head));
  const std::int64_t query_offset = layout.Qkv(place.sequence, place.first, layout.query_column(place.head));
  const std::int64_t out_offset = layout.Out(place.sequence, place.first, place.head);
  LoadTile(qkv + query_offset, x.width(), place.rows, size, tiles.query);
  LoadTile(d_out + out_offset, x.out_width(), place.rows, size, tiles.d_out);
  ComputeDelta(out + out_offset, d_out + out_offset, x.out_width(), place.rows, size, tiles.delta);
  __syncthreads();

  std::int64_t position[2];
  std::int64_t first_key[2];
  float row_lse[2];
  float delta[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    position[half] = place.first + RowOfLane(half);
    const bool exists = RowOfLane(half) < place.rows;
    first_key[half] = exists ? layout.FirstKey(place.sequence, position[half]) : position[half];
    row_lse[half] = exists ? lse[layout.Lse(place.sequence, position[half], place.head)] : 0.0f;
    delta[half] = tiles.delta[RowOfLane(half)];
  }
  WarpSums<kColumns> sums = {};
  for (std::int64_t first = layout.FirstKey(place.sequence, place.first) / kDocumentRows * kDocumentRows;
       first < place.first + place.rows; first += kDocumentRows) {
    const int rows = TilePlace::RowsFrom(first, x.positions);
    __syncthreads();  // the tiles before these are done with
    LoadTile(keys + first * x.width(), x.width(), rows, size, tiles.key);
    LoadTile(values + first * x.width(), x.width(), rows, size, tiles.value);
    __syncthreads();
    WarpSums<64> scores = {};
    WarpSums<64> d_weights = {};
    MultiplyByTransposed(tiles.query, tiles.key, scores);
    MultiplyByTransposed(tiles.d_out, tiles.value, d_weights);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int half = i / 2;
        const std::int64_t key = first + 8 * n + ColumnOfLane() + i % 2;
        const bool visible = key >= first_key[half] && key <= position[half];
        const float p = Probability(scores[n][i] * layout.scale, row_lse[half]);
        scores[n][i] = visible ? p * (d_weights[n][i] - delta[half]) : 0.0f;
      }
    }
    MultiplyByTile(scores, tiles.key, sums);
  }
  StoreTile<kColumns>(sums, {layout.scale, layout.scale}, place.rows, size, d_qkv + query_offset, x.width());
}

/// A block takes 64 keys of one head and their values and sums their gradients over the queries that see them: heads of
/// the group in ascending order, tiles of queries in ascending order within a head. Rows of a warp's results are keys.
template <int kColumns>
__global__ void __launch_bounds__(kDocumentThreads)
    DocumentKeyGradientKernel(const BFloat16* __restrict__ qkv, const BFloat16* __restrict__ out,
                              const float* __restrict__ lse, const BFloat16* __restrict__ d_out,
                              BFloat16* __restrict__ d_qkv, AttentionLayout layout) {
  extern __shared__ uint4 document_memory[];
  auto& tiles = *reinterpret_cast<KeyGradientTiles<kColumns>*>(document_memory);
  const AttentionExtents& x = layout.extents;
  const TilePlace place(blockIdx.x, x.kv_heads, x.positions);
  const int size = static_cast<int>(x.head_size);
  const std::int64_t key_offset = layout.Qkv(place.sequence, place.first, layout.key_column(place.head));
  const std::int64_t value_offset = layout.Qkv(place.sequence, place.first, layout.value_column(place.head));
  LoadTile(qkv + key_offset, x.width(), place.rows, size, tiles.key);
  LoadTile(qkv + value_offset, x.width(), place.rows, size, tiles.value);

  WarpSums<kColumns> key_sums = {};
  WarpSums<kColumns> value_sums = {};
  const int thread = static_cast<int>(threadIdx.x);
  for (std::int64_t head = place.head * layout.group(); head < (place.head + 1) * layout.group(); ++head) {
    for (std::int64_t first = place.first; first < x.positions; first += kDocumentRows) {
      if (layout.FirstKey(place.sequence, first) >= place.first + place.rows) break;
      const int rows = TilePlace::RowsFrom(first, x.positions);
      const std::int64_t out_offset = layout.Out(place.sequence, first, head);
      __syncthreads();  // the tiles before these are done with
      LoadTile(qkv + layout.Qkv(place.sequence, first, layout.query_column(head)), x.width(), rows, size, tiles.query);
      LoadTile(d_out + out_offset, x.out_width(), rows, size, tiles.d_out);
      ComputeDelta(out + out_offset, d_out + out_offset, x.out_width(), rows, size, tiles.delta);
      if (thread < kDocumentRows) {
        const bool exists = thread < rows;
        tiles.lse[thread] = exists ? lse[layout.Lse(place.sequence, first + thread, head)] : 0.0f;
        // A query beyond the sequence sees nothing.
        tiles.first_key[thread] = exists ? static_cast<int>(layout.FirstKey(place.sequence, first + thread))
                                         : std::numeric_limits<int>::max();
      }
      __syncthreads();
      WarpSums<64> scores = {};
      WarpSums<64> d_weights = {};
      MultiplyByTransposed(tiles.key, tiles.query, scores);
      MultiplyByTransposed(tiles.value, tiles.d_out, d_weights);
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int query = 8 * n + ColumnOfLane() + i % 2;
          const std::int64_t key = place.first + RowOfLane(i / 2);
          const bool visible = key >= tiles.first_key[query] && key <= first + query;
          const float p = visible ? Probability(scores[n][i] * layout.scale, tiles.lse[query]) : 0.0f;
          scores[n][i] = p;
          d_weights[n][i] = visible ? p * (d_weights[n][i] - tiles.delta[query]) : 0.0f;
        }
      }
      MultiplyByTile(scores, tiles.d_out, value_sums);
      MultiplyByTile(d_weights, tiles.query, key_sums);
    }
  }
  StoreTile<kColumns>(key_sums, {layout.scale, layout.scale}, place.rows, size, d_qkv + key_offset, x.width());
  StoreTile<kColumns>(value_sums, {1.0f, 1.0f}, place.rows, size, d_qkv + value_offset, x.width());
}

}  // namespace coat::cuda
