#include "cuda/attention/attention_plain.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cuda/attention/attention_layout.cuh"
#include "cuda/attention/attention_rows.cuh"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = kAttentionThreads;
constexpr int kWarps = kAttentionWarps;

/// A block takes one query of one head. Keys and values come from the second-level cache once a query: 2 K T bytes
/// times the type's size, half of them hidden by the mask.
template <class T, int kColumns>
__global__ void __launch_bounds__(kThreads, 2)
    ForwardKernel(const T* __restrict__ qkv, T* __restrict__ out, float* __restrict__ lse, AttentionLayout layout) {
  extern __shared__ float query[];
  __shared__ float weights[kTile];
  const AttentionExtents& x = layout.extents;
  const int size = static_cast<int>(x.head_size);
  const std::int64_t stride = x.width();

  for (std::int64_t index = blockIdx.x; index < x.tokens() * x.heads; index += gridDim.x) {
    const std::int64_t head = index % x.heads;
    const std::int64_t position = index / x.heads % x.positions;
    const std::int64_t sequence = index / x.heads / x.positions;
    const T* keys = qkv + layout.Qkv(sequence, 0, layout.key_column(head / layout.group()));
    const T* values = qkv + layout.Qkv(sequence, 0, layout.value_column(head / layout.group()));
    LoadRow(qkv + layout.Qkv(sequence, position, head * x.head_size), size, query);

    const std::int64_t first = layout.FirstKey(sequence, position);
    float sums[kColumns] = {};
    const RowSoftmax softmax = AttendToRows(query, keys + first * stride, values + first * stride, stride,
                                            position + 1 - first, size, layout.scale, weights, sums);
    StoreRow(sums, 1.0f / softmax.sum, size, out + layout.Out(sequence, position, head));
    if (threadIdx.x == 0) lse[layout.Lse(sequence, position, head)] = softmax.largest + LogOfSum(softmax.sum);
  }
}

/// A block takes one query of one head and sums its gradient over the keys it sees; as ForwardKernel.
template <class T, int kColumns>
__global__ void __launch_bounds__(kThreads, 2)
    QueryGradientKernel(const T* __restrict__ qkv, const T* __restrict__ out, const float* __restrict__ lse,
                        const T* __restrict__ d_out, T* __restrict__ d_qkv, AttentionLayout layout) {
  extern __shared__ float rows[];
  __shared__ float weights[kTile];
  const AttentionExtents& x = layout.extents;
  const int size = static_cast<int>(x.head_size);
  float* query = rows;
  float* d_out_row = rows + size;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t stride = x.width();

  for (std::int64_t index = blockIdx.x; index < x.tokens() * x.heads; index += gridDim.x) {
    const std::int64_t head = index % x.heads;
    const std::int64_t position = index / x.heads % x.positions;
    const std::int64_t sequence = index / x.heads / x.positions;
    const T* keys = qkv + layout.Qkv(sequence, 0, layout.key_column(head / layout.group()));
    const T* values = qkv + layout.Qkv(sequence, 0, layout.value_column(head / layout.group()));
    const std::int64_t query_offset = layout.Qkv(sequence, position, head * x.head_size);
    const std::int64_t out_offset = layout.Out(sequence, position, head);
    const float row_lse = lse[layout.Lse(sequence, position, head)];
    const float delta = WarpDot(d_out + out_offset, out + out_offset, size);
    LoadRow(qkv + query_offset, size, query);
    LoadRow(d_out + out_offset, size, d_out_row);

    float sums[kColumns] = {};
    for (std::int64_t first = layout.FirstKey(sequence, position); first <= position; first += kTile) {
      const int count = static_cast<int>(min(static_cast<std::int64_t>(kTile), position + 1 - first));
      __syncthreads();  // the rows are there; the weights before these are done with
      for (int r = warp; r < count; r += kWarps) {
        const std::int64_t offset = (first + r) * stride;
        const float p = Probability(WarpDot(query, keys + offset, size) * layout.scale, row_lse);
        const float d_p = WarpDot(d_out_row, values + offset, size);
        if (threadIdx.x % kWarpSize == 0) weights[r] = p * (d_p - delta);
      }
      __syncthreads();
      AddWeightedRows(weights, keys + first * stride, stride, count, size, sums);
    }
    StoreRow(sums, layout.scale, size, d_qkv + query_offset);
  }
}

/// How many of the `count` queries from `first` on see the key at `position`, by a block: those of its document, which
/// are the first of them.
__device__ int QueriesThatSee(const AttentionLayout& layout, std::int64_t sequence, std::int64_t position,
                              std::int64_t first, int count) {
  if (layout.documents == nullptr) return count;
  const int query = static_cast<int>(threadIdx.x);
  return __syncthreads_count(query < count && layout.FirstKey(sequence, first + query) <= position);
}

/// A block takes one key and its value and sums their gradients over the queries that see them: heads of the group in
/// ascending order, positions in ascending order within a head. Queries come in tiles as keys do in ForwardKernel.
template <class T, int kColumns>
__global__ void __launch_bounds__(kThreads, 2)
    KeyGradientKernel(const T* __restrict__ qkv, const T* __restrict__ out, const float* __restrict__ lse,
                      const T* __restrict__ d_out, T* __restrict__ d_qkv, AttentionLayout layout) {
  extern __shared__ float rows[];
  __shared__ float probabilities[kTile];
  __shared__ float d_scores[kTile];
  const AttentionExtents& x = layout.extents;
  const int size = static_cast<int>(x.head_size);
  float* key = rows;
  float* value = rows + size;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;

  for (std::int64_t index = blockIdx.x; index < x.tokens() * x.kv_heads; index += gridDim.x) {
    const std::int64_t kv_head = index % x.kv_heads;
    const std::int64_t position = index / x.kv_heads % x.positions;
    const std::int64_t sequence = index / x.kv_heads / x.positions;
    const std::int64_t key_offset = layout.Qkv(sequence, position, layout.key_column(kv_head));
    const std::int64_t value_offset = layout.Qkv(sequence, position, layout.value_column(kv_head));
    LoadRow(qkv + key_offset, size, key);
    LoadRow(qkv + value_offset, size, value);

    float key_sums[kColumns] = {};
    float value_sums[kColumns] = {};
    for (std::int64_t head = kv_head * layout.group(); head < (kv_head + 1) * layout.group(); ++head) {
      for (std::int64_t first = position; first < x.positions; first += kTile) {
        const int left = static_cast<int>(min(static_cast<std::int64_t>(kTile), x.positions - first));
        const int count = QueriesThatSee(layout, sequence, position, first, left);
        if (count == 0) break;
        const T* queries = qkv + layout.Qkv(sequence, first, head * x.head_size);
        const T* out_rows = out + layout.Out(sequence, first, head);
        const T* d_out_rows = d_out + layout.Out(sequence, first, head);
        const float* lse_rows = lse + layout.Lse(sequence, first, head);
        __syncthreads();  // the rows are there; the weights before these are done with
        for (int r = warp; r < count; r += kWarps) {
          const T* d_out_row = d_out_rows + r * x.out_width();
          const float p = Probability(WarpDot(key, queries + r * x.width(), size) * layout.scale, lse_rows[r]);
          const float d_p = WarpDot(value, d_out_row, size);
          const float delta = WarpDot(d_out_row, out_rows + r * x.out_width(), size);
          if (threadIdx.x % kWarpSize == 0) {
            probabilities[r] = p;
            d_scores[r] = p * (d_p - delta);
          }
        }
        __syncthreads();
        AddWeightedRows(d_scores, queries, x.width(), count, size, key_sums);
        AddWeightedRows(probabilities, d_out_rows, x.out_width(), count, size, value_sums);
      }
    }
    StoreRow(key_sums, layout.scale, size, d_qkv + key_offset);
    StoreRow(value_sums, 1.0f, size, d_qkv + value_offset);
  }
}

AttentionLayout LayoutOf(const AttentionExtents& extents, ConstTensorView documents) {
  return {extents, static_cast<float>(1.0 / std::sqrt(static_cast<double>(extents.head_size))),
          documents ? documents.As<std::int32_t>() : nullptr};
}

/// As many blocks as there are rows, or as the grid takes.
unsigned BlocksFor(std::int64_t rows) {
  return static_cast<unsigned>(std::min<std::int64_t>(rows, std::numeric_limits<std::int32_t>::max()));
}

/// Dynamic shared memory for `rows` rows of a head.
std::size_t BytesOfRows(const AttentionExtents& extents, int rows) {
  return static_cast<std::size_t>(rows * extents.head_size) * sizeof(float);
}

}  // namespace

void PlainAttentionForward(CudaDevice& device, const AttentionForwardArgs& args, const AttentionExtents& extents) {
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    VisitColumns(extents.head_size, [&]<int kColumns>() {
      ForwardKernel<T, kColumns>
          <<<BlocksFor(extents.tokens() * extents.heads), kThreads, BytesOfRows(extents, 1), device.stream()>>>(
              args.qkv.As<T>(), args.out.As<T>(), args.lse.As<float>(), LayoutOf(extents, args.documents));
      COAT_CUDA(cudaGetLastError());
    });
  });
}

void PlainAttentionBackward(CudaDevice& device, const AttentionBackwardArgs& args, const AttentionExtents& extents) {
  const std::size_t shared_bytes = BytesOfRows(extents, 2);
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    VisitColumns(extents.head_size, [&]<int kColumns>() {
      QueryGradientKernel<T, kColumns>
          <<<BlocksFor(extents.tokens() * extents.heads), kThreads, shared_bytes, device.stream()>>>(
              args.qkv.As<T>(), args.out.As<T>(), args.lse.As<float>(), args.d_out.As<T>(), args.d_qkv.As<T>(),
              LayoutOf(extents, args.documents));
      COAT_CUDA(cudaGetLastError());
      KeyGradientKernel<T, kColumns>
          <<<BlocksFor(extents.tokens() * extents.kv_heads), kThreads, shared_bytes, device.stream()>>>(
              args.qkv.As<T>(), args.out.As<T>(), args.lse.As<float>(), args.d_out.As<T>(), args.d_qkv.As<T>(),
              LayoutOf(extents, args.documents));
      COAT_CUDA(cudaGetLastError());
    });
  });
}

}  // namespace coat::cuda
