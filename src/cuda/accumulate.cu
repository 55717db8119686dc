#include "ops/accumulate.h"

#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;  // elements of a thread

/// y += x, 8 elements a thread: x read once, y read and written once. `vectors` = elements / 8.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads) AccumulateKernel(const X* x, std::int64_t vectors, Y* y) {
  const std::int64_t vector = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (vector >= vectors) return;
  float terms[kVector], sums[kVector];
  LoadValues(x + vector * kVector, terms);
  LoadValues(y + vector * kVector, sums);
#pragma unroll
  for (int i = 0; i < kVector; ++i) sums[i] += terms[i];
  StoreValues(y + vector * kVector, sums);
}

/// The elements from `begin` on one by one: those that fill no vector, or all where addresses do not suit vectors.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads)
    AccumulateEachKernel(const X* x, std::int64_t begin, std::int64_t elements, Y* y) {
  const std::int64_t i = begin + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < elements) y[i] = RoundTo<Y>(ToFloat(y[i]) + ToFloat(x[i]));
}

}  // namespace

void Accumulate(Context& ctx, const AccumulateArgs& args) {
  const std::int64_t elements = args.x.elements();
  const cudaStream_t stream = DeviceOf(ctx).stream();
  VisitPlain(args.x.dtype(), [&]<class X>() {
    VisitPlain(args.y.dtype(), [&]<class Y>() {
      const X* x = args.x.As<X>();
      Y* y = args.y.As<Y>();
      const std::int64_t vectors = IsAligned16(x) && IsAligned16(y) ? elements / kVector : 0;
      if (vectors > 0) AccumulateKernel<<<BlocksFor(vectors, kThreads), kThreads, 0, stream>>>(x, vectors, y);
      const std::int64_t rest = elements - vectors * kVector;
      if (rest > 0) {
        AccumulateEachKernel<<<BlocksFor(rest, kThreads), kThreads, 0, stream>>>(x, vectors * kVector, elements, y);
      }
    });
  });
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
