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

/// A block takes one head of one token, and reads the keys and values that the head sees once.
template <class T, int kColumns>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    AttentionKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions, const T* __restrict__ cache,
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

    float sums[kColumns] = {};
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
  const std::size_t shared_bytes = static_cast<std::size_t>(layout.head_size) * sizeof(float);
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    VisitColumns(layout.head_size, [&]<int kColumns>() {
      AttentionKernel<T, kColumns><<<blocks, kAttentionThreads, shared_bytes, DeviceOf(ctx).stream()>>>(
          args.qkv.As<T>(), args.positions.As<std::int32_t>(), args.cache.As<T>(), args.out.As<T>(), layout);
      COAT_CUDA(cudaGetLastError());
    });
  });
}

}  // namespace coat::cuda
