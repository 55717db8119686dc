#include "cuda/nccl/float_order.h"

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;

/// Negative floats have the bits of negative integers in the opposite order. Its own inverse.
__device__ std::int32_t Swapped(std::int32_t bits) {
  return bits >= 0 ? bits : bits ^ 0x7fffffff;
}

__global__ void __launch_bounds__(kThreads) FloatsToOrderKernel(std::int32_t* x, std::int64_t elements) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= elements) return;
  const std::int32_t bits = x[i];
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  x[i] = is_nan ? 0x7fffffff : Swapped(bits);
}

__global__ void __launch_bounds__(kThreads) OrderToFloatsKernel(std::int32_t* x, std::int64_t elements) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < elements) x[i] = Swapped(x[i]);
}

}  // namespace

void FloatsToOrder(float* x, std::int64_t elements, cudaStream_t stream) {
  if (elements == 0) return;
  const unsigned blocks = BlocksFor(elements, kThreads);
  FloatsToOrderKernel<<<blocks, kThreads, 0, stream>>>(reinterpret_cast<std::int32_t*>(x), elements);
  COAT_CUDA(cudaGetLastError());
}

void OrderToFloats(float* x, std::int64_t elements, cudaStream_t stream) {
  if (elements == 0) return;
  const unsigned blocks = BlocksFor(elements, kThreads);
  OrderToFloatsKernel<<<blocks, kThreads, 0, stream>>>(reinterpret_cast<std::int32_t*>(x), elements);
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
