#include "cuda/gemm/gemm_prepare.h"

#include <algorithm>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/vector_access.cuh"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kVector = 16;   // codes that a thread decodes at a time
constexpr int kRun = 128;     // columns that share a scale
constexpr int kTile = 32;     // rows and columns of scales that a block transposes
constexpr int kTileRows = 8;  // of its threads

/// Blocks for `count` threads' work; more is done in turns.
unsigned BlocksFor(std::int64_t count) {
  constexpr std::int64_t kMostBlocks = 132 * 16;
  return static_cast<unsigned>(std::clamp<std::int64_t>(DivideUp(count, kThreads), 1, kMostBlocks));
}

__device__ std::int64_t GlobalThread() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__device__ std::int64_t AllThreads() {
  return static_cast<std::int64_t>(gridDim.x) * kThreads;
}

/// One thread: moves two numbers to addresses that are aligned.
__global__ void CopyScalesKernel(const float* a, const float* b, float* a_copy, float* b_copy) {
  *a_copy = *a;
  *b_copy = *b;
}

/// A thread writes one scale in turn; 4 (M + N) bytes, 0.3 MB at the largest products.
__global__ void SpreadScalesKernel(const float* a, const float* b, float* a_rows, std::int64_t a_count, float* b_rows,
                                   std::int64_t b_count) {
  const float product = *a * *b;
  for (std::int64_t i = GlobalThread(); i < a_count + b_count; i += AllThreads()) {
    if (i < a_count) {
      a_rows[i] = 1.0f;
    } else {
      b_rows[i - a_count] = product;
    }
  }
}

/// A block transposes 32 x 32 scales through shared memory, so that both sides move 128 bytes a warp; 8 bytes a scale.
__global__ void TransposeScalesKernel(const float* scales, std::int64_t rows, std::int64_t columns, float* out) {
  __shared__ float tile[kTile][kTile + 1];
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
    const std::int64_t row = first_row + i;
    const std::int64_t column = first_column + lane;
    if (row < rows && column < columns) tile[i][lane] = scales[row * columns + column];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
    const std::int64_t row = first_row + lane;
    const std::int64_t column = first_column + i;
    if (row < rows && column < columns) out[column * rows + row] = tile[lane][i];
  }
}

/// A thread writes one element of the padded rows in turn; a few kB at most.
__global__ void PadScalesKernel(const float* scales, std::int64_t rows, std::int64_t columns, std::int64_t padded,
                                float* out) {
  for (std::int64_t i = GlobalThread(); i < rows * padded; i += AllThreads()) {
    const std::int64_t column = i % padded;
    out[i] = column < columns ? scales[i / padded * columns + column] : 0.0f;
  }
}

/// One thread: the two scalars of a product that reads them from device memory.
__global__ void WriteFactorsKernel(const float* a, const float* b, float beta, float* factors) {
  factors[0] = (a == nullptr ? 1.0f : *a) * (b == nullptr ? 1.0f : *b);
  factors[1] = beta;
}

/// The scale of element `index` of a matrix of `width` columns.
template <Scaling kScaling>
__device__ float ScaleAt(const float* scales, std::int64_t index, std::int64_t width) {
  if constexpr (kScaling == Scaling::kGroup) {
    return scales[index / kRun];  // rows are whole runs
  } else if constexpr (kScaling == Scaling::kBlock128) {
    const std::int64_t row = index / width;
    return scales[row / kRun * (width / kRun) + (index - row * width) / kRun];
  } else {
    return 1.0f;
  }
}

/// A thread decodes 16 codes in turn, one load of 16 bytes and two stores; then single codes, of which there are many
/// only where `x` is not aligned. 3 bytes an element.
template <class F, Scaling kScaling>
__global__ void DecodeKernel(const std::uint8_t* codes, const float* scales, BFloat16* out, std::int64_t count,
                             std::int64_t width, std::int64_t vectors) {
  for (std::int64_t v = GlobalThread(); v < vectors; v += AllThreads()) {
    float values[kVector];
    LoadDecoded<F>(codes + v * kVector, values);
    if constexpr (kScaling != Scaling::kTensor) {
      const float scale = ScaleAt<kScaling>(scales, v * kVector, width);  // 16 divides the runs
#pragma unroll
      for (int i = 0; i < kVector; ++i) values[i] *= scale;
    }
    StoreValues(out + v * kVector, values);
  }
  for (std::int64_t i = vectors * kVector + GlobalThread(); i < count; i += AllThreads()) {
    float value = DecodeFp8<F>(codes[i]);
    if constexpr (kScaling != Scaling::kTensor) value *= ScaleAt<kScaling>(scales, i, width);
    out[i] = ToBFloat16(value);
  }
}

/// An element and its place, well mixed (the finalizer of SplitMix64).
__device__ std::uint64_t Mix(std::int64_t index, std::uint32_t bits) {
  std::uint64_t x = static_cast<std::uint64_t>(index) * 0x9e3779b97f4a7c15u + bits;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Adds up the mixed elements as integers, whose sum has no order; a warp adds one number to the result. Word is an
/// element's bits.
template <class Word>
__global__ void HashKernel(const Word* elements, std::int64_t count, unsigned long long* hash) {
  unsigned long long sum = 0;
  for (std::int64_t i = GlobalThread(); i < count; i += AllThreads()) sum += Mix(i, elements[i]);
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) atomicAdd(hash, sum);
}

/// A warp adds one number to the count. Word is an element's bits.
template <class Word>
__global__ void CountNonZerosKernel(const Word* elements, std::int64_t count, unsigned long long* non_zeros) {
  constexpr auto kMagnitude = static_cast<Word>(static_cast<Word>(~Word{0}) >> 1);
  unsigned found = 0;
  for (std::int64_t i = GlobalThread(); i < count; i += AllThreads()) found += (elements[i] & kMagnitude) != 0 ? 1 : 0;
  found = __reduce_add_sync(0xffffffffu, found);
  if (threadIdx.x % 32 == 0) atomicAdd(non_zeros, found);
}

template <class F, Scaling kScaling>
void LaunchDecode(cudaStream_t stream, const ConstQuantizedView& x, BFloat16* out) {
  const std::int64_t count = x.codes.elements();
  const std::int64_t vectors = IsAligned16(x.codes.data()) ? count / kVector : 0;
  const unsigned blocks = BlocksFor(vectors > 0 ? vectors : count);
  DecodeKernel<F, kScaling><<<blocks, kThreads, 0, stream>>>(x.codes.As<std::uint8_t>(), x.scales.As<float>(), out,
                                                             count, x.shape()[1], vectors);
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void CopyScales(cudaStream_t stream, const float* a, const float* b, float* a_copy, float* b_copy) {
  CopyScalesKernel<<<1, 1, 0, stream>>>(a, b, a_copy, b_copy);
  COAT_CUDA(cudaGetLastError());
}

void SpreadScales(cudaStream_t stream, const float* a, const float* b, float* a_rows, std::int64_t a_count,
                  float* b_rows, std::int64_t b_count) {
  SpreadScalesKernel<<<BlocksFor(a_count + b_count), kThreads, 0, stream>>>(a, b, a_rows, a_count, b_rows, b_count);
  COAT_CUDA(cudaGetLastError());
}

void TransposeScales(cudaStream_t stream, const float* scales, std::int64_t rows, std::int64_t columns, float* out) {
  const dim3 blocks(BlocksFor(rows, kTile), BlocksFor(columns, kTile));
  TransposeScalesKernel<<<blocks, dim3(kTile, kTileRows), 0, stream>>>(scales, rows, columns, out);
  COAT_CUDA(cudaGetLastError());
}

void PadScales(cudaStream_t stream, const float* scales, std::int64_t rows, std::int64_t columns, std::int64_t padded,
               float* out) {
  PadScalesKernel<<<BlocksFor(rows * padded), kThreads, 0, stream>>>(scales, rows, columns, padded, out);
  COAT_CUDA(cudaGetLastError());
}

void WriteFactors(cudaStream_t stream, const float* a, const float* b, float beta, float* factors) {
  WriteFactorsKernel<<<1, 1, 0, stream>>>(a, b, beta, factors);
  COAT_CUDA(cudaGetLastError());
}

void DecodeToBFloat16(cudaStream_t stream, const ConstQuantizedView& x, BFloat16* out) {
  VisitFp8(x.format.dtype, [&]<class F>() {
    switch (x.format.scaling) {
      case Scaling::kGroup:
        return LaunchDecode<F, Scaling::kGroup>(stream, x, out);
      case Scaling::kBlock128:
        return LaunchDecode<F, Scaling::kBlock128>(stream, x, out);
      case Scaling::kTensor:
      case Scaling::kNone:
        return LaunchDecode<F, Scaling::kTensor>(stream, x, out);
    }
  });
}

void HashElements(cudaStream_t stream, const ConstTensorView& x, unsigned long long* hash) {
  COAT_CUDA(cudaMemsetAsync(hash, 0, sizeof(*hash), stream));
  const std::int64_t count = x.elements();
  if (x.dtype() == DType::kF32) {
    HashKernel<<<BlocksFor(count), kThreads, 0, stream>>>(x.As<std::uint32_t>(), count, hash);
  } else {
    HashKernel<<<BlocksFor(count), kThreads, 0, stream>>>(x.As<std::uint16_t>(), count, hash);
  }
  COAT_CUDA(cudaGetLastError());
}

void CountNonZeros(cudaStream_t stream, const ConstTensorView& x, unsigned long long* count) {
  COAT_CUDA(cudaMemsetAsync(count, 0, sizeof(*count), stream));
  const std::int64_t elements = x.elements();
  const auto launch = [&]<class Word>() {
    CountNonZerosKernel<<<BlocksFor(elements), kThreads, 0, stream>>>(static_cast<const Word*>(x.data()), elements,
                                                                      count);
  };
  switch (SizeOf(x.dtype())) {
    case 1:
      launch.template operator()<std::uint8_t>();
      break;
    case 2:
      launch.template operator()<std::uint16_t>();
      break;
    default:
      launch.template operator()<std::uint32_t>();
  }
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
