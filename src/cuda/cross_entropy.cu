#include "ops/cross_entropy.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "cuda/device/device.h"
#include "cuda/kernel/async_copy.cuh"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/packed.cuh"
#include "numerics/elementary.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kCount = 8;  // elements of a vector

/// What all rows share.
struct Terms {
  const std::int32_t* __restrict__ labels;
  float* __restrict__ loss;
  float* __restrict__ z_squared;
  const float* __restrict__ weights;
  std::int64_t columns;
  float logit_scale;
  bool gradient;
};

/// e^x with the hardware's 2^x: the relative error is at most (2 + |x|) 2^-22; 0 where the result is below 2^-126.
__device__ float FastExp(float x) {
  constexpr float kLog2E = 1.44269504f;
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * kLog2E));
  return power;
}

/// The largest value of all threads of the block, in each of them; NaN counts for nothing.
__device__ float BlockMax(float value) {
  __shared__ float largest[kThreads / kWarpSize];
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  if (threadIdx.x % kWarpSize == 0) largest[threadIdx.x / kWarpSize] = value;
  __syncthreads();
#pragma unroll
  for (int warp = 0; warp < kThreads / kWarpSize; ++warp) value = fmaxf(value, largest[warp]);
  return value;
}

/// Calls f(column, z) for every kElements columns of the row that are this thread's: the first of them, and their
/// z = logit_scale * logit.
template <int kElements, class T, class Function>
__device__ void ForOwn(const T* row, const Terms& terms, Function&& f) {
  for (std::int64_t column = threadIdx.x * kElements; column < terms.columns; column += kThreads * kElements) {
    float z[kElements];
    Packed<T, kElements>::Load(row + column).Unpack(z);
#pragma unroll
    for (int i = 0; i < kElements; ++i) z[i] *= terms.logit_scale;
    f(column, z);
  }
}

/// A block takes a row. kShared: it copies the row into its shared memory, so that the device's memory is read once
/// (two rows of 50304 bf16 fit into a multiprocessor: while one is loaded the other is worked on); else it reads it
/// three times, of which the L2 cache serves two. Every thread reads the columns that it copied and that it writes.
template <class T, int kElements, bool kShared>
__global__ void __launch_bounds__(kThreads, 2) CrossEntropyKernel(T* logits, const Terms terms) {
  extern __shared__ uint4 copy_of_row[];
  T* const row = logits + blockIdx.x * terms.columns;
  const std::int32_t label = terms.labels[blockIdx.x];
  if (label < 0) {
    if (threadIdx.x == 0) terms.loss[blockIdx.x] = terms.z_squared[blockIdx.x] = 0.0f;
    if (!terms.gradient) return;
    for (std::int64_t column = threadIdx.x * kElements; column < terms.columns; column += kThreads * kElements) {
      Packed<T, kElements>::Of({}).Store(row + column);
    }
    return;
  }
  const float label_z = terms.logit_scale * ToFloat(row[label]);
  const T* own = row;
  if constexpr (kShared) {
    constexpr int kBytes = sizeof(uint4);
    T* const copy = reinterpret_cast<T*>(copy_of_row);
    for (std::int64_t column = threadIdx.x * kElements; column < terms.columns; column += kThreads * kElements) {
#pragma unroll
      for (int i = 0; i < kElements; i += kVectorElements<T>) {
        __pipeline_memcpy_async(copy + column + i, row + column + i, kBytes);
      }
    }
    __pipeline_commit();
    WaitForCopies<0>();
    own = copy;
  }

  float largest = -std::numeric_limits<float>::infinity();
  ForOwn<kElements>(own, terms, [&](std::int64_t, const float(&z)[kElements]) {
#pragma unroll
    for (int i = 0; i < kElements; ++i) largest = fmaxf(largest, z[i]);
  });
  largest = BlockMax(largest);
  float sums[kElements] = {};
  ForOwn<kElements>(own, terms, [&](std::int64_t, const float(&z)[kElements]) {
#pragma unroll
    for (int i = 0; i < kElements; ++i) sums[i] += FastExp(z[i] - largest);
  });
#pragma unroll
  for (int i = 1; i < kElements; ++i) sums[0] += sums[i];
  const float sum = BlockSums<kThreads>()(sums[0]);

  constexpr float kLn2 = 0.693147181f;
  const float log_sum = Log2(sum) * kLn2 + (sum - sum);  // Log2 takes finite numbers only
  const float log_sum_exp = largest + log_sum;
  if (threadIdx.x == 0) {
    terms.loss[blockIdx.x] = log_sum + (largest - label_z);
    terms.z_squared[blockIdx.x] = log_sum_exp * log_sum_exp;
  }
  if (!terms.gradient) return;

  // All threads have read the label's logit: there was a barrier.
  const float loss_weight = terms.weights[0];
  const float per_exp = terms.logit_scale * (loss_weight + 2.0f * terms.weights[1] * log_sum_exp) / sum;
  ForOwn<kElements>(own, terms, [&](std::int64_t column, float(&z)[kElements]) {
#pragma unroll
    for (int i = 0; i < kElements; ++i) z[i] = per_exp * FastExp(z[i] - largest);
    Packed<T, kElements>::Of(z).Store(row + column);
    if (label >= column && label < column + kElements) {
      row[label] = RoundTo<T>(per_exp * FastExp(label_z - largest) - terms.logit_scale * loss_weight);
    }
  });
}

/// Dynamic shared memory that a block may have beside the little that the kernel declares.
struct SharedMemoryLimit {
  std::int64_t bytes = 0;

  explicit SharedMemoryLimit(CudaDevice&) {
    constexpr std::int64_t kDeclared = 1024;
    int ordinal = 0;
    int most = 0;
    COAT_CUDA(cudaGetDevice(&ordinal));
    COAT_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
    bytes = most - kDeclared;
  }
};

}  // namespace

void CrossEntropy(Context& ctx, const CrossEntropyArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const std::int64_t columns = args.logits.shape()[1];
  const auto rows = static_cast<unsigned>(args.logits.shape()[0]);
  if (rows == 0) return;
  const Terms terms = {.labels = args.labels.As<std::int32_t>(),
                       .loss = args.loss.As<float>(),
                       .z_squared = args.z_squared.As<float>(),
                       .weights = args.weights.As<float>(),
                       .columns = columns,
                       .logit_scale = args.logit_scale,
                       .gradient = args.gradient};
  VisitPlain(args.logits.dtype(), [&]<class T>() {
    T* const logits = args.logits.As<T>();
    const auto bytes = columns * static_cast<std::int64_t>(sizeof(T));
    if (columns % kCount != 0 || !IsAligned16(logits)) {
      CrossEntropyKernel<T, 1, false><<<rows, kThreads, 0, device.stream()>>>(logits, terms);
    } else if (bytes > device.Get<SharedMemoryLimit>().bytes) {
      CrossEntropyKernel<T, kCount, false><<<rows, kThreads, 0, device.stream()>>>(logits, terms);
    } else {
      const auto kernel = CrossEntropyKernel<T, kCount, true>;
      COAT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
      kernel<<<rows, kThreads, static_cast<std::size_t>(bytes), device.stream()>>>(logits, terms);
    }
  });
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
