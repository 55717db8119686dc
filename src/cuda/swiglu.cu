#include "ops/swiglu.h"

#include <algorithm>
#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/activation.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;

/// values = the kCount elements from `address` on: one of any address, or a whole vector of an aligned one.
template <class T, int kCount>
__device__ void Load(const T* address, float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    values[0] = ToFloat(*address);
  } else {
    LoadValues(address, values);
  }
}

/// The reverse.
template <class T, int kCount>
__device__ void Store(T* address, const float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    *address = RoundTo<T>(values[0]);
  } else {
    StoreValues(address, values);
  }
}

/// A thread takes kCount columns of a row: blocks along x share a row, those along y take every gridDim.y-th row. Moves
/// what the contract names once: 3 values an element of the product.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    SwigluForwardKernel(const T* __restrict__ up_gate, T* __restrict__ product, std::int64_t rows, std::int64_t width) {
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kCount;
  if (column >= width) return;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float up[kCount], gate[kCount];
    Load(up_gate + row * 2 * width + column, up);
    Load(up_gate + row * 2 * width + width + column, gate);
#pragma unroll
    for (int i = 0; i < kCount; ++i) up[i] = Swiglu(up[i], gate[i]);
    Store(product + row * width + column, up);
  }
}

/// Blocks as in the forward kernel; 6 values an element of the product.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    SwigluBackwardKernel(const T* __restrict__ up_gate, const T* __restrict__ d_product, T* __restrict__ d_up_gate,
                         T* __restrict__ product, std::int64_t rows, std::int64_t width) {
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kCount;
  if (column >= width) return;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const std::int64_t up_at = row * 2 * width + column;
    float up[kCount], gate[kCount], gradient[kCount];
    Load(up_gate + up_at, up);
    Load(up_gate + up_at + width, gate);
    Load(d_product + row * width + column, gradient);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const SwigluGradient g = SwigluBackwardElement(up[i], gate[i], gradient[i]);
      up[i] = g.d_up;
      gate[i] = g.d_gate;
      gradient[i] = g.product;
    }
    Store(d_up_gate + up_at, up);
    Store(d_up_gate + up_at + width, gate);
    Store(product + row * width + column, gradient);
  }
}

/// Blocks for rows of `width` columns, kCount a thread.
dim3 GridOf(std::int64_t rows, std::int64_t width, int count) {
  constexpr std::int64_t kMostAlongY = 65535;
  const std::int64_t columns = static_cast<std::int64_t>(kThreads) * count;
  return dim3(BlocksFor(width, columns), static_cast<unsigned>(std::min(rows, kMostAlongY)));
}

/// Calls f.template operator()<kCount>() with a vector's elements if every row of every tensor begins at a multiple of
/// 16 bytes, else with 1.
template <class T, class Function>
void VisitCount(std::int64_t width, bool aligned, Function&& f) {
  if (aligned && width % kVectorElements<T> == 0) {
    f.template operator()<kVectorElements<T>>();
  } else {
    f.template operator()<1>();
  }
}

}  // namespace

void SwigluForward(Context& ctx, const SwigluForwardArgs& args) {
  const std::int64_t rows = args.product.shape()[0];
  const std::int64_t width = args.product.shape()[1];
  if (rows * width == 0) return;
  const bool aligned = IsAligned16(args.up_gate.data()) && IsAligned16(args.product.data());
  VisitPlain(args.product.dtype(), [&]<class T>() {
    VisitCount<T>(width, aligned, [&]<int kCount>() {
      SwigluForwardKernel<T, kCount><<<GridOf(rows, width, kCount), kThreads, 0, DeviceOf(ctx).stream()>>>(
          args.up_gate.As<T>(), args.product.As<T>(), rows, width);
    });
  });
  COAT_CUDA(cudaGetLastError());
}

void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args) {
  const std::int64_t rows = args.product.shape()[0];
  const std::int64_t width = args.product.shape()[1];
  if (rows * width == 0) return;
  const bool aligned = IsAligned16(args.up_gate.data()) && IsAligned16(args.d_product.data()) &&
                       IsAligned16(args.d_up_gate.data()) && IsAligned16(args.product.data());
  VisitPlain(args.product.dtype(), [&]<class T>() {
    VisitCount<T>(width, aligned, [&]<int kCount>() {
      SwigluBackwardKernel<T, kCount><<<GridOf(rows, width, kCount), kThreads, 0, DeviceOf(ctx).stream()>>>(
          args.up_gate.As<T>(), args.d_product.As<T>(), args.d_up_gate.As<T>(), args.product.As<T>(), rows, width);
    });
  });
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
