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

/// y = x, 8 at a time: x read and y written once. `vectors` = elements / 8.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads) CastKernel(const X* x, std::int64_t vectors, Y* y) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads * kVectorsAtOnce + threadIdx.x;
  float values[kVectorsAtOnce][kVector];
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector < vectors) LoadValues(x + vector * kVector, values[i]);
  }
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector < vectors) StoreValues(y + vector * kVector, values[i]);
  }
}

/// The elements from `begin` on one by one: those that fill no vector, or all where addresses do not suit vectors.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads)
    CastEachKernel(const X* x, std::int64_t begin, std::int64_t elements, Y* y) {
  const std::int64_t i = begin + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < elements) y[i] = RoundTo<Y>(ToFloat(x[i]));
}

}  // namespace

void Cast(Context& ctx, const CastArgs& args) {
  const std::int64_t elements = args.x.elements();
  const cudaStream_t stream = DeviceOf(ctx).stream();
  VisitPlain(args.x.dtype(), [&]<class X>() {
    VisitPlain(args.y.dtype(), [&]<class Y>() {
      const X* x = args.x.As<X>();
      Y* y = args.y.As<Y>();
      const std::int64_t vectors = IsAligned16(x) && IsAligned16(y) ? elements / kVector : 0;
      if (vectors > 0) {
        CastKernel<<<BlocksFor(vectors, kThreads * kVectorsAtOnce), kThreads, 0, stream>>>(x, vectors, y);
      }
      const std::int64_t rest = elements - vectors * kVector;
      if (rest > 0) {
        CastEachKernel<<<BlocksFor(rest, kThreads), kThreads, 0, stream>>>(x, vectors * kVector, elements, y);
      }
    });
  });
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
