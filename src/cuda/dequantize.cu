#include <bit>
#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "ops/quantize.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;              // codes of one load, all under one scale
constexpr int kVectorsAtOnce = 4;       // loads of a thread in flight
constexpr std::int64_t kBlockLog2 = 7;  // of the 128 of /b128

// From an element of a matrix, counted along its rows, to its scale.

struct ScaleOfTensor {
  const float* scale;
  __device__ float operator()(std::int64_t) const { return *scale; }
};

template <class S>
struct ScaleOfGroup {
  const S* scales;
  int group_log2;
  __device__ float operator()(std::int64_t element) const { return ToFloat(scales[element >> group_log2]); }
};

struct ScaleOfBlock {
  const float* scales;
  std::uint32_t blocks_of_row;
  __device__ float operator()(std::int64_t element) const {
    const auto run = static_cast<std::uint32_t>(element >> kBlockLog2);
    const std::uint32_t row = run / blocks_of_row;
    return scales[(row >> kBlockLog2) * blocks_of_row + (run - row * blocks_of_row)];
  }
};

/// code * scale; a NaN code keeps its sign, which the hardware's NaN have not.
template <class F>
__device__ float Dequantized(std::uint8_t code, float scale) {
  const float value = DecodeFp8<F>(code);
  return value != value ? value : value * scale;
}

template <class F>
__device__ void DequantizeVector(const Codes<kVector>& codes, float scale, float (&values)[kVector]) {
  Decode<F>(codes, values);
  bool any_nan = false;
#pragma unroll
  for (int i = 0; i < kVector; i += 2) {
    values[i] *= scale;
    values[i + 1] *= scale;
    any_nan |= (values[i] != values[i]) | (values[i + 1] != values[i + 1]);
  }
  if (any_nan) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      values[i] = Dequantized<F>(static_cast<std::uint8_t>(codes.words[i / 4] >> (i % 4 * 8)), scale);
    }
  }
}

/// y = codes * scales, 8 at a time: 1 byte read and y written an element. `vectors` = elements / 8.
template <class F, class T, class ScaleOf>
__global__ void __launch_bounds__(kThreads)
    DequantizeKernel(const std::uint8_t* codes, ScaleOf scale_of, std::int64_t vectors, T* y) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads * kVectorsAtOnce + threadIdx.x;
  Codes<kVector> loaded[kVectorsAtOnce];
  float scale[kVectorsAtOnce];
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector >= vectors) continue;
    loaded[i] = LoadCodes<kVector>(codes + vector * kVector);
    scale[i] = scale_of(vector * kVector);
  }
#pragma unroll
  for (int i = 0; i < kVectorsAtOnce; ++i) {
    const std::int64_t vector = first + i * kThreads;
    if (vector >= vectors) return;
    float values[kVector];
    DequantizeVector<F>(loaded[i], scale[i], values);
    StoreValues(y + vector * kVector, values);
  }
}

/// The elements from `begin` on one by one: those that fill no vector, or all where addresses do not suit vectors.
template <class F, class T, class ScaleOf>
__global__ void __launch_bounds__(kThreads)
    DequantizeEachKernel(const std::uint8_t* codes, ScaleOf scale_of, std::int64_t begin, std::int64_t elements, T* y) {
  const std::int64_t i = begin + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < elements) y[i] = RoundTo<T>(Dequantized<F>(codes[i], scale_of(i)));
}

template <class F, class T, class ScaleOf>
void Launch(Context& ctx, const DequantizeArgs& args, ScaleOf scale_of) {
  const cudaStream_t stream = DeviceOf(ctx).stream();
  const std::int64_t elements = args.y.elements();
  const auto* codes = args.x.codes.As<std::uint8_t>();
  T* y = args.y.As<T>();
  const std::int64_t vectors = IsAligned16(codes) && IsAligned16(y) ? elements / kVector : 0;
  if (vectors > 0) {
    DequantizeKernel<F>
        <<<BlocksFor(vectors, kThreads * kVectorsAtOnce), kThreads, 0, stream>>>(codes, scale_of, vectors, y);
  }
  const std::int64_t begin = vectors * kVector;
  if (begin < elements) {
    DequantizeEachKernel<F>
        <<<BlocksFor(elements - begin, kThreads), kThreads, 0, stream>>>(codes, scale_of, begin, elements, y);
  }
  COAT_CUDA(cudaGetLastError());
}

template <class F, class T>
void DequantizeInto(Context& ctx, const DequantizeArgs& args) {
  const Format& format = args.x.format;
  const ConstTensorView& scales = args.x.scales;
  if (format.scaling == Scaling::kTensor) return Launch<F, T>(ctx, args, ScaleOfTensor{scales.As<float>()});
  if (format.scaling == Scaling::kBlock128) {
    const auto blocks_of_row = static_cast<std::uint32_t>(args.y.shape()[1] >> kBlockLog2);
    return Launch<F, T>(ctx, args, ScaleOfBlock{scales.As<float>(), blocks_of_row});
  }
  const int group_log2 = std::countr_zero(static_cast<unsigned>(format.group));
  VisitPlain(format.scale_dtype, [&]<class S>() {
    Launch<F, T>(ctx, args, ScaleOfGroup<S>{scales.As<S>(), group_log2});
  });
}

}  // namespace

void Dequantize(Context& ctx, const DequantizeArgs& args) {
  VisitFp8(args.x.format.dtype,
           [&]<class F>() { VisitPlain(args.y.dtype(), [&]<class T>() { DequantizeInto<F, T>(ctx, args); }); });
}

}  // namespace coat::cuda
