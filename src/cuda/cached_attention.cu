#include "ops/cached_attention.h"

#include <cooperative_groups.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cuda/attention/attention_rows.cuh"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/packed.cuh"
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

/// Blocks that share one head of one token at the most: a cluster, whose blocks read one another's shared memory.
constexpr int kMostParts = 8;
constexpr int kHeadThreads = 256;
/// Columns of a head that a lane has, in words of 16 bytes.
constexpr int kColumns = 8;
/// Keys and values that a lane has in flight together.
constexpr int kKeysAtOnce = 4;

__device__ void SyncParts() {
#if __CUDA_ARCH__ >= 900
  cooperative_groups::this_cluster().sync();
#else
  __syncthreads();  // there is one part
#endif
}

/// What `shared` is in the shared memory of another part.
template <class X>
__device__ const X& OfPart(X& shared, [[maybe_unused]] int part) {
#if __CUDA_ARCH__ >= 900
  return *cooperative_groups::this_cluster().map_shared_rank(&shared, part);
#else
  return shared;
#endif
}

/// What was seen of some keys: the largest score, the sum of exp(score - largest), and that of exp(score - largest)
/// times the values of one column.
struct Seen {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  float value = 0.0f;
};

/// exp(score - largest), where `largest` may be that of no score at all.
__device__ float WeightOf(float score, float largest) {
  return Exp(score - (largest == -std::numeric_limits<float>::infinity() ? 0.0f : largest));
}

/// seen_of(0), ..., seen_of(count - 1) together, added up in this order; count <= kMost.
template <int kMost, class SeenOf>
__device__ Seen Together(int count, SeenOf seen_of) {
  Seen seen[kMost];
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    if (i < count) seen[i] = seen_of(i);
  }
  Seen all;
#pragma unroll
  for (int i = 0; i < kMost; ++i) all.largest = fmaxf(all.largest, seen[i].largest);
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const float factor = WeightOf(seen[i].largest, all.largest);
    all.sum = fmaf(factor, seen[i].sum, all.sum);
    all.value = fmaf(factor, seen[i].value, all.value);
  }
  return all;
}

/// The keys of one worker: kLanes lanes of a warp, each with its columns of the head.
template <class T, int kLanes>
struct Worker {
  using Columns = Packed<T, kColumns>;

  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  float values[kColumns] = {};

  /// `query`, `keys` and `values_of_keys` are at the lane's first column; rows worker, worker + workers, ... of
  /// `count`. All lanes of a warp call it with the same count and number of workers. A lane without columns has none to
  /// load.
  __device__ void Attend(const T* query, const T* keys, const T* values_of_keys, std::int64_t stride,
                         std::int64_t count, std::int64_t worker, std::int64_t workers, float scale, bool has_columns) {
    float of_query[kColumns] = {};
    if (has_columns) Columns::Load(query).Unpack(of_query);
    for (std::int64_t first = 0; first < count; first += kKeysAtOnce * workers) {
      Columns key[kKeysAtOnce];
      Columns value[kKeysAtOnce];
      const auto row_of = [&](int i) { return first + i * workers + worker; };
#pragma unroll
      for (int i = 0; i < kKeysAtOnce; ++i) {
        if (row_of(i) >= count || !has_columns) continue;
        key[i] = Columns::Load(keys + row_of(i) * stride);
        value[i] = Columns::Load(values_of_keys + row_of(i) * stride);
      }
      float scores[kKeysAtOnce];
      const float so_far = largest;
#pragma unroll
      for (int i = 0; i < kKeysAtOnce; ++i) {
        float product = 0.0f;
        if (row_of(i) < count && has_columns) {
          float columns[kColumns];
          key[i].Unpack(columns);
#pragma unroll
          for (int m = 0; m < kColumns; ++m) product = fmaf(of_query[m], columns[m], product);
        }
#pragma unroll
        for (int distance = kLanes / 2; distance > 0; distance /= 2) {
          product += __shfl_xor_sync(kAllLanes, product, distance);
        }
        scores[i] = row_of(i) < count ? product * scale : -std::numeric_limits<float>::infinity();
        largest = fmaxf(largest, scores[i]);
      }
      const float factor = WeightOf(so_far, largest);
      sum *= factor;
#pragma unroll
      for (int m = 0; m < kColumns; ++m) values[m] *= factor;
#pragma unroll
      for (int i = 0; i < kKeysAtOnce; ++i) {
        if (row_of(i) >= count || !has_columns) continue;
        const float weight = WeightOf(scores[i], largest);
        float columns[kColumns];
        value[i].Unpack(columns);
        sum += weight;
#pragma unroll
        for (int m = 0; m < kColumns; ++m) values[m] = fmaf(weight, columns[m], values[m]);
      }
    }
  }
};

/// A cluster of `parts` blocks takes one head, of up to kLanes * kColumns columns, of one token. Its workers share the
/// keys; what they have seen is added up in their order, by block and then by part.
template <class T, int kLanes>
__global__ void __launch_bounds__(kHeadThreads)
    HeadKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions, const T* __restrict__ cache,
               T* __restrict__ out, Layout layout, int parts) {
  constexpr int kWorkers = kHeadThreads / kLanes;
  constexpr int kMostColumns = kLanes * kColumns;
  __shared__ float largests[kWorkers];
  __shared__ float sums[kWorkers];
  __shared__ float values[kWorkers][kMostColumns];
  __shared__ Seen of_part[kMostColumns];
  const int size = static_cast<int>(layout.head_size);
  const int thread = static_cast<int>(threadIdx.x);
  const int part = static_cast<int>(blockIdx.x) % parts;
  const std::int64_t index = static_cast<int>(blockIdx.x) / parts;
  const std::int64_t token = index / layout.heads;
  const std::int64_t head = index % layout.heads;
  const int of_worker = thread % kLanes;
  const int column = of_worker * kColumns;

  Worker<T, kLanes> worker;
  const T* const keys = cache + head / (layout.heads / layout.kv_heads) * layout.head_size + column;
  worker.Attend(qkv + token * layout.qkv_width() + head * layout.head_size + column, keys,
                keys + layout.kv_heads * layout.head_size, layout.cache_width(),
                static_cast<std::int64_t>(positions[token]) + 1, part * kWorkers + thread / kLanes, parts * kWorkers,
                layout.scale, column < size);
  if (of_worker == 0) {
    largests[thread / kLanes] = worker.largest;
    sums[thread / kLanes] = worker.sum;
  }
#pragma unroll
  for (int m = 0; m < kColumns; ++m) values[thread / kLanes][column + m] = worker.values[m];
  __syncthreads();
  for (int c = thread; c < size; c += kHeadThreads) {
    of_part[c] = Together<kWorkers>(kWorkers, [&](int w) { return Seen{largests[w], sums[w], values[w][c]}; });
  }
  SyncParts();
  for (int c = thread; part == 0 && c < size; c += kHeadThreads) {
    const Seen all = Together<kMostParts>(parts, [&](int p) { return OfPart(of_part[c], p); });
    out[index * size + c] = RoundTo<T>(all.value * (1.0f / all.sum));
  }
  SyncParts();  // no part ends while another reads what it has seen
}

/// For heads of more columns, or a number of them that words do not divide: a block takes one head of one token, and
/// its threads columns of the head.
template <class T>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    AnyHeadKernel(const T* __restrict__ qkv, const std::int32_t* __restrict__ positions, const T* __restrict__ cache,
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

/// Blocks for one head: as many as keep the multiprocessors busy, where the kernel was compiled for clusters (Hopper
/// and later). Code for earlier GPUs may run on later ones.
template <class Kernel>
int PartsFor(const CudaDevice& device, Kernel kernel, std::int64_t heads) {
  constexpr int kFirstWithClusters = 90;
  cudaFuncAttributes attributes = {};
  COAT_CUDA(cudaFuncGetAttributes(&attributes, kernel));
  int parts = 1;
  if (attributes.ptxVersion < kFirstWithClusters) return parts;
  while (parts < kMostParts && heads * parts * 2 <= 2 * device.multiprocessors()) parts *= 2;
  return parts;
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
  const CudaDevice& device = DeviceOf(ctx);
  const std::int64_t heads = layout.tokens * layout.heads;
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    const T* const qkv = args.qkv.As<T>();
    const auto* const positions = args.positions.As<std::int32_t>();
    const T* const cache = args.cache.As<T>();
    T* const out = args.out.As<T>();
    const auto launch_in_parts = [&](auto kernel) {
      const int parts = PartsFor(device, kernel, heads);
      cudaLaunchAttribute cluster = {};
      cluster.id = cudaLaunchAttributeClusterDimension;
      cluster.val.clusterDim = {.x = static_cast<unsigned>(parts), .y = 1, .z = 1};
      cudaLaunchConfig_t config = {};
      config.gridDim = static_cast<unsigned>(heads * parts);
      config.blockDim = kHeadThreads;
      config.stream = device.stream();
      config.attrs = &cluster;
      config.numAttrs = parts > 1 ? 1 : 0;
      COAT_CUDA(cudaLaunchKernelEx(&config, kernel, qkv, positions, cache, out, layout, parts));
    };
    const bool in_words = layout.head_size % kColumns == 0 && IsAligned16(qkv) && IsAligned16(cache);
    if (in_words && layout.head_size <= 8 * kColumns) {
      launch_in_parts(&HeadKernel<T, 8>);
    } else if (in_words && layout.head_size <= 16 * kColumns) {
      launch_in_parts(&HeadKernel<T, 16>);
    } else if (in_words && layout.head_size <= 32 * kColumns) {
      launch_in_parts(&HeadKernel<T, 32>);
    } else {
      AnyHeadKernel<T>
          <<<static_cast<unsigned>(std::min<std::int64_t>(heads, std::numeric_limits<std::int32_t>::max())),
             kAttentionThreads, static_cast<std::size_t>(layout.head_size) * sizeof(float), device.stream()>>>(
              qkv, positions, cache, out, layout);
      COAT_CUDA(cudaGetLastError());
    }
  });
}

}  // namespace coat::cuda
