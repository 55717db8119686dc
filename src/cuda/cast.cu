#include "ops/cast.h"

#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;         // elements of a thread at a time
constexpr int kVectorsAtOnce = 4;  // groups of loads of a thread in flight

/// y = x or y += x, 8 elements at a time: x is read and y written once; a sum reads y too. `vectors` = elements / 8.
template <bool kAccumulate, class X, class Y>
__global__ void __launch_bounds__(kThreads) CastKernel(const X* x, std::int64_t vectors, Y* y) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads * kVectorsAtOnce + threadIdx.x;
  float values[kVectorsAtOnce][kVector];
  float sums[kVectorsAtOnce][kVector] = {};
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector >= vectors) continue;
    LoadValues(x + vector * kVector, values[i]);
    if constexpr (kAccumulate) LoadValues(y + vector * kVector, sums[i]);
  }
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector >= vectors) continue;
    if constexpr (kAccumulate) {
#pragma unroll
      for (int c = 0; c < kVector; ++c) values[i][c] += sums[i][c];
    }
    StoreValues(y + vector * kVector, values[i]);
  }
}

/// The elements from `begin` on one by one: those that fill no vector, or all where addresses do not suit vectors.
template <bool kAccumulate, class X, class Y>
__global__ void __launch_bounds__(kThreads)
    CastEachKernel(const X* x, std::int64_t begin, std::int64_t elements, Y* y) {
  const std::int64_t i = begin + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < elements) y[i] = RoundTo<Y>(kAccumulate ? ToFloat(y[i]) + ToFloat(x[i]) : ToFloat(x[i]));
}

template <bool kAccumulate>
void Launch(cudaStream_t stream, const CastArgs& args) {
  const std::int64_t elements = args.x.elements();
  VisitPlain(args.x.dtype(), [&]<class X>() {
    VisitPlain(args.y.dtype(), [&]<class Y>() {
      const X* x = args.x.As<X>();
      Y* y = args.y.As<Y>();
      const std::int64_t vectors = IsAligned16(x) && IsAligned16(y) ? elements / kVector : 0;
      const std::int64_t rest = elements - vectors * kVector;
      if (vectors > 0) {
        CastKernel<kAccumulate><<<BlocksFor(vectors, kThreads * kVectorsAtOnce), kThreads, 0, stream>>>(x, vectors, y);
      }
      if (rest > 0) {
        CastEachKernel<kAccumulate>
            <<<BlocksFor(rest, kThreads), kThreads, 0, stream>>>(x, vectors * kVector, elements, y);
      }
    });
  });
}

}  // namespace

void Cast(Context& ctx, const CastArgs& args) {
  const cudaStream_t stream = DeviceOf(ctx).stream();
  if (args.accumulate) {
    Launch<true>(stream, args);
  } else {
    Launch<false>(stream, args);
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
