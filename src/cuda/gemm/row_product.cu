#include "cuda/gemm/row_product.h"

#include <cstdint>

#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/packed.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kRowsOfBlock = kThreads / kWarpSize;
constexpr int kVector = 8;
/// Vectors of a row of b whose loads a thread has in flight together: 128 bytes.
template <class T>
constexpr int kVectorsAtOnce = 16 / static_cast<int>(sizeof(T));

/// d[n] = sum over k of a[k] b[n, k]: a warp takes a row of b, a lane every 32nd vector of it.
template <class T, class D>
__global__ void __launch_bounds__(kThreads) RowProductKernel(const T* __restrict__ a, const T* __restrict__ b,
                                                             D* __restrict__ d, std::int64_t n, std::int64_t k) {
  constexpr int kStep = kWarpSize * kVector;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.x / kWarpSize;
  if (row >= n) return;
  const T* const b_row = b + row * k;
  float sum = 0.0f;
  for (std::int64_t begin = lane * kVector; begin < k; begin += kVectorsAtOnce<T> * kStep) {
    Packed<T, kVector> loaded[kVectorsAtOnce<T>];
#pragma unroll
    for (int i = 0; i < kVectorsAtOnce<T>; ++i) {
      if (begin + i * kStep < k) loaded[i] = Packed<T, kVector>::Load(b_row + begin + i * kStep);
    }
#pragma unroll
    for (int i = 0; i < kVectorsAtOnce<T>; ++i) {
      if (begin + i * kStep >= k) continue;
      float of_a[kVector];
      float of_b[kVector];
      LoadValues(a + begin + i * kStep, of_a);
      loaded[i].Unpack(of_b);
#pragma unroll
      for (int c = 0; c < kVector; ++c) sum = fmaf(of_a[c], of_b[c], sum);
    }
  }
  sum = WarpSum(sum);
  if (lane == 0) d[row] = RoundTo<D>(sum);
}

}  // namespace

bool TakesRowProduct(const GemmArgs& args) {
  const GemmShape shape = ShapeOf(args);
  return args.a.format.scaling == Scaling::kNone && args.layout == GemmLayout::kNT && !args.accumulate &&
         shape.m == 1 && shape.k % kVector == 0 && IsAligned16(args.a.codes.data()) && IsAligned16(args.b.codes.data());
}

void RowProduct(CudaDevice& device, const GemmArgs& args) {
  const GemmShape shape = ShapeOf(args);
  VisitPlain(args.a.format.dtype, [&]<class T>() {
    VisitPlain(args.d.dtype(), [&]<class D>() {
      RowProductKernel<T, D><<<BlocksFor(shape.n, kRowsOfBlock), kThreads, 0, device.stream()>>>(
          args.a.codes.As<T>(), args.b.codes.As<T>(), args.d.As<D>(), shape.n, shape.k);
      COAT_CUDA(cudaGetLastError());
    });
  });
}

}  // namespace coat::cuda
