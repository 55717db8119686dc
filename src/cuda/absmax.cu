#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "ops/quantize.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 8;
constexpr int kVectorsAtOnce = 4;  // loads of a thread in flight

/// absmax = the larger of absmax and the magnitudes of x. Reads x once; a block does vectors far apart and ends in one
/// atomic maximum of bits, which has no order. The first `head` elements lie before an address of a whole vector.
template <class T>
__global__ void __launch_bounds__(kThreads, ResidentBlocks(kThreads, kBlocksPerMultiprocessor))
    AbsMaxKernel(const T* x, std::int64_t elements, std::int64_t head, float* absmax) {
  constexpr int kVector = kVectorElements<T>;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t vectors = (elements - head) / kVector;
  const std::int64_t tail = head + vectors * kVector;
  Largest<T> largest;
  if (thread < head) largest.Take(x[thread]);
  if (thread < elements - tail) largest.Take(x[tail + thread]);
  const auto* const words = reinterpret_cast<const uint4*>(x + head);
  std::int64_t vector = thread;
  for (; vector + (kVectorsAtOnce - 1) * threads < vectors; vector += kVectorsAtOnce * threads) {
#pragma unroll
    for (int i = 0; i < kVectorsAtOnce; ++i) largest.Take(words[vector + i * threads]);
  }
  for (; vector < vectors; vector += threads) largest.Take(words[vector]);

  ReportAbsMax<kThreads>(largest.bits(), absmax);
}

}  // namespace

void AbsMax(Context& ctx, const AbsMaxArgs& args) {
  const CudaDevice& device = DeviceOf(ctx);
  auto* absmax = args.absmax.As<float>();
  COAT_CUDA(cudaMemsetAsync(absmax, 0, sizeof(float), device.stream()));
  const std::int64_t elements = args.x.elements();
  if (elements == 0) return;
  VisitPlain(args.x.dtype(), [&]<class T>() {
    const T* x = args.x.As<T>();
    const std::int64_t head = ElementsBeforeVectors(x, elements);
    constexpr std::int64_t kElementsPerBlock = std::int64_t{kThreads} * kVectorElements<T> * kVectorsAtOnce;
    const std::int64_t blocks = std::min<std::int64_t>(
        DivideUp(elements, kElementsPerBlock), std::int64_t{kBlocksPerMultiprocessor} * device.multiprocessors());
    AbsMaxKernel<<<static_cast<unsigned>(blocks), kThreads, 0, device.stream()>>>(x, elements, head, absmax);
  });
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
