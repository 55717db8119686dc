#include "ops/fill.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/normal.h"
#include "numerics/philox.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 8;

/// Elements [begin, begin + 4 * words of 16 bytes) of x = the same value: 16 bytes written a thread at a time. The
/// rest, less than 16 bytes at either end, one by one.
template <class T>
__global__ void __launch_bounds__(kThreads) FillKernel(T* x, std::int64_t elements, std::int64_t head, T value) {
  constexpr int kVector = kVectorElements<T>;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t vectors = (elements - head) / kVector;
  const std::int64_t tail = head + vectors * kVector;
  if (thread < head) x[thread] = value;
  if (thread < elements - tail) x[tail + thread] = value;
  float values[kVector];
#pragma unroll
  for (int i = 0; i < kVector; ++i) values[i] = ToFloat(value);
  for (std::int64_t i = thread; i < vectors; i += threads) StoreValues(x + head + i * kVector, values);
}

__host__ __device__ std::uint32_t Low(std::uint64_t x) {
  return static_cast<std::uint32_t>(x);
}
__host__ __device__ std::uint32_t High(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}

/// A thread makes the up to four numbers of one counter of Philox: elements 4 c to 4 c + 3 of the whole tensor, of
/// which x holds [offset, offset + elements).
__global__ void __launch_bounds__(kThreads)
    FillNormalKernel(float* x, std::int64_t elements, std::int64_t offset, std::uint64_t seed, std::uint64_t tensor_id,
                     float std, float inside, float cutoff) {
  const std::int64_t counter = offset / 4 + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const auto bits = static_cast<std::uint64_t>(counter);
  const std::array<std::uint32_t, 4> words =
      Philox({Low(bits), High(bits), Low(tensor_id), High(tensor_id)}, {Low(seed), High(seed)});
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::int64_t element = counter * 4 + i - offset;
    if (element >= 0 && element < elements) x[element] = std * TruncatedNormal(words[i], inside, cutoff);
  }
}

}  // namespace

void Fill(Context& ctx, const FillArgs& args) {
  const CudaDevice& device = DeviceOf(ctx);
  const std::int64_t elements = args.x.elements();
  if (elements == 0) return;
  if (std::bit_cast<std::uint32_t>(args.value) == 0) {
    COAT_CUDA(cudaMemsetAsync(args.x.data(), 0, static_cast<std::size_t>(args.x.bytes()), device.stream()));
    return;
  }
  VisitPlain(args.x.dtype(), [&]<class T>() {
    T* x = args.x.As<T>();
    const std::int64_t head = ElementsBeforeVectors(x, elements);
    constexpr std::int64_t kElementsPerBlock = std::int64_t{kThreads} * kVectorElements<T>;
    const std::int64_t blocks = std::min<std::int64_t>(
        DivideUp(elements, kElementsPerBlock), std::int64_t{kBlocksPerMultiprocessor} * device.multiprocessors());
    FillKernel<<<static_cast<unsigned>(blocks), kThreads, 0, device.stream()>>>(x, elements, head,
                                                                                RoundTo<T>(args.value));
  });
  COAT_CUDA(cudaGetLastError());
}

void FillNormal(Context& ctx, const FillNormalArgs& args) {
  const std::int64_t elements = args.x.elements();
  if (elements == 0) return;
  const float cutoff = args.cutoff > 0.0f ? args.cutoff : std::numeric_limits<float>::infinity();
  const std::int64_t counters = (args.offset + elements - 1) / 4 - args.offset / 4 + 1;
  FillNormalKernel<<<BlocksFor(counters, kThreads), kThreads, 0, DeviceOf(ctx).stream()>>>(
      args.x.As<float>(), elements, args.offset, args.seed, args.tensor_id, args.std, InsideOf(cutoff), cutoff);
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
