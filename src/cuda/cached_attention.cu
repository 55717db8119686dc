#include "ops/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cuda/attention_rows.cuh"
#include "cuda/block_reduce.cuh"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "numerics/bfloat16.h"
#include "numerics/elementary.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kStoreThreads = 256;

struct Layout {
  std::int64_t tokens, heads, kv_heads, head_size;
  float scale;

  __host__ __device__ std::int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }
  __host__ __device__ std::int64_t cache_width() const { return 2 * kv_heads * head_size; }
};

Layout LayoutOf(ConstTensorView qkv, std::int64_t heads, std::int64_t kv_heads) {
  const std::int64_t head_size = qkv.shape()[1] / (heads + 2 * kv_heads);
  return {qkv.shape()[0], heads, kv_heads, head_size,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_size)))};
}

/// A thread copies one element of one token.
template <class T>
__global__ void StoreKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions,
                            T* __restrict__ cache, Layout layout) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kStoreThreads + threadIdx.x;
  const std::int64_t token = index / layout.cache_width();
  const std::int64_t column = index % layout.cache_width();
  if (token >= layout.tokens) return;
  cache[positions[token] * layout.cache_width() + column] =
      qkv[token * layout.qkv_width() + layout.heads * layout.head_size + column];
}

/// Warps of a block of HeadKernel, and the columns of a head that a lane may hold: one and every 32nd after it.
constexpr int kHeadWarps = 16;
constexpr int kUsualColumns = 4;
constexpr int kWideColumns = 8;

/// Keys and values that a warp has in flight together.
template <int kColumns>
constexpr int kKeysAtOnce = 32 / kColumns;

/// What a warp has seen of its keys: the largest score, and the sums over the keys of exp(score - largest) and of that
/// times the values.
template <int kColumns>
struct Attended {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  float values[kColumns] = {};
};

/// exp(score - largest), where `largest` may be that of no score at all.
__device__ float WeightOf(float score, float largest) {
  return Exp(score - (largest == -std::numeric_limits<float>::infinity() ? 0.0f : largest));
}

/// One query against the keys and values of rows warp, warp + kHeadWarps, ... of `count`; a lane has the columns lane,
/// lane + 32, ... of the head.
template <class T, int kColumns>
__device__ Attended<kColumns> AttendByWarp(const T* query, const T* keys, const T* values, std::int64_t stride,
                                           std::int64_t count, int size, float scale) {
  constexpr int kKeys = kKeysAtOnce<kColumns>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const auto load = [&](const T* row, float(&columns)[kColumns]) {
#pragma unroll
    for (int m = 0; m < kColumns; ++m) {
      const int c = lane + m * kWarpSize;
      columns[m] = c < size ? ToFloat(row[c]) : 0.0f;
    }
  };
  float of_query[kColumns];
  load(query, of_query);
  Attended<kColumns> attended;
  for (std::int64_t first = threadIdx.x / kWarpSize; first < count; first += kHeadWarps * kKeys) {
    float key[kKeys][kColumns];
    float value[kKeys][kColumns];
    const auto row_of = [&](int i) { return first + i * kHeadWarps; };
#pragma unroll
    for (int i = 0; i < kKeys; ++i) {
      if (row_of(i) >= count) continue;
      load(keys + row_of(i) * stride, key[i]);
      load(values + row_of(i) * stride, value[i]);
    }
    float scores[kKeys];
    float largest = attended.largest;
#pragma unroll
    for (int i = 0; i < kKeys; ++i) {
      scores[i] = -std::numeric_limits<float>::infinity();
      if (row_of(i) >= count) continue;
      float sum = 0.0f;
#pragma unroll
      for (int m = 0; m < kColumns; ++m) sum = fmaf(of_query[m], key[i][m], sum);
      scores[i] = WarpSum(sum) * scale;
      largest = fmaxf(largest, scores[i]);
    }
    const float factor = WeightOf(attended.largest, largest);
    attended.largest = largest;
    attended.sum *= factor;
#pragma unroll
    for (int m = 0; m < kColumns; ++m) attended.values[m] *= factor;
#pragma unroll
    for (int i = 0; i < kKeys; ++i) {
      if (row_of(i) >= count) continue;
      const float weight = WeightOf(scores[i], largest);
      attended.sum += weight;
#pragma unroll
      for (int m = 0; m < kColumns; ++m) attended.values[m] = fmaf(weight, value[i][m], attended.values[m]);
    }
  }
  return attended;
}

/// A block takes one head of one token; its warps share the keys, and what they have seen is added up in their order.
template <class T, int kColumns>
__global__ void __launch_bounds__(kHeadWarps* kWarpSize)
    HeadKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions, const T* __restrict__ cache,
               T* __restrict__ out, Layout layout) {
  __shared__ float largests[kHeadWarps];
  __shared__ float sums[kHeadWarps];
  __shared__ float values[kHeadWarps][kColumns * kWarpSize];
  const int size = static_cast<int>(layout.head_size);
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;

  for (std::int64_t index = blockIdx.x; index < layout.tokens * layout.heads; index += gridDim.x) {
    const std::int64_t token = index / layout.heads;
    const std::int64_t head = index % layout.heads;
    const T* const keys = cache + head / (layout.heads / layout.kv_heads) * layout.head_size;
    const auto attended = AttendByWarp<T, kColumns>(
        qkv + token * layout.qkv_width() + head * layout.head_size, keys, keys + layout.kv_heads * layout.head_size,
        layout.cache_width(), static_cast<std::int64_t>(positions[token]) + 1, size, layout.scale);
    if (lane == 0) {
      largests[warp] = attended.largest;
      sums[warp] = attended.sum;
    }
#pragma unroll
    for (int m = 0; m < kColumns; ++m) values[warp][lane + m * kWarpSize] = attended.values[m];
    __syncthreads();

    if (static_cast<int>(threadIdx.x) < size) {
      float largest = largests[0];
      for (int w = 1; w < kHeadWarps; ++w) largest = fmaxf(largest, largests[w]);
      float sum = 0.0f;
      float value = 0.0f;
      for (int w = 0; w < kHeadWarps; ++w) {
        const float factor = WeightOf(largests[w], largest);
        sum = fmaf(factor, sums[w], sum);
        value = fmaf(factor, values[w][threadIdx.x], value);
      }
      out[index * size + threadIdx.x] = RoundTo<T>(value * (1.0f / sum));
    }
    __syncthreads();  // the next head may write
  }
}

/// For larger heads: a block takes one head of one token, and its threads columns of the head.
template <class T>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    LargeHeadKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions, const T* __restrict__ cache,
                    T* __restrict__ out, Layout layout) {
  extern __shared__ float query[];
  __shared__ float weights[kTile];
  const int size = static_cast<int>(layout.head_size);

  for (std::int64_t index = blockIdx.x; index < layout.tokens * layout.heads; index += gridDim.x) {
    const std::int64_t token = index / layout.heads;
    const std::int64_t head = index % layout.heads;
    const std::int64_t position = positions[token];
    const T* keys = cache + head / (layout.heads / layout.kv_heads) * layout.head_size;
    const T* values = keys + layout.kv_heads * layout.head_size;
    LoadRow(qkv + token * layout.qkv_width() + head * layout.head_size, size, query);

    float sums[kManyColumns] = {};
    const RowSoftmax softmax =
        AttendToRows(query, keys, values, layout.cache_width(), position + 1, size, layout.scale, weights, sums);
    StoreRow(sums, 1.0f / softmax.sum, size, out + index * layout.head_size);
  }
}

}  // namespace

void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args) {
  const Layout layout = LayoutOf(args.qkv, args.heads, args.kv_heads);
  if (layout.tokens == 0) return;
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    StoreKernel<T>
        <<<BlocksFor(layout.tokens * layout.cache_width(), kStoreThreads), kStoreThreads, 0, DeviceOf(ctx).stream()>>>(
            args.qkv.As<T>(), args.positions.As<std::int32_t>(), args.cache.As<T>(), layout);
    COAT_CUDA(cudaGetLastError());
  });
}

void CachedAttention(Context& ctx, const CachedAttentionArgs& args) {
  const Layout layout = LayoutOf(args.qkv, args.heads, args.kv_heads);
  if (layout.tokens == 0) return;
  const auto blocks = static_cast<unsigned>(
      std::min<std::int64_t>(layout.tokens * layout.heads, std::numeric_limits<std::int32_t>::max()));
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    const auto launch = [&](auto kernel, int threads, std::size_t shared_bytes) {
      kernel<<<blocks, threads, shared_bytes, DeviceOf(ctx).stream()>>>(
          args.qkv.As<T>(), args.positions.As<std::int32_t>(), args.cache.As<T>(), args.out.As<T>(), layout);
    };
    if (layout.head_size <= kUsualColumns * kWarpSize) {
      launch(&HeadKernel<T, kUsualColumns>, kHeadWarps * kWarpSize, 0);
    } else if (layout.head_size <= kWideColumns * kWarpSize) {
      launch(&HeadKernel<T, kWideColumns>, kHeadWarps * kWarpSize, 0);
    } else {
      launch(&LargeHeadKernel<T>, kAttentionThreads, static_cast<std::size_t>(layout.head_size) * sizeof(float));
    }
    COAT_CUDA(cudaGetLastError());
  });
}

}  // namespace coat::cuda
