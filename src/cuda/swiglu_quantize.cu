// The SwiGLU op that quantizes, forward. Two passes: largest magnitudes first, then codes; the product is computed
// twice rather than stored. The second pass goes from the end to the beginning: what the first touched last is still in
// the L2 cache.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "base/error.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/group_scale.cuh"
#include "cuda/kernel/larger_magnitude.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/run_loop.cuh"
#include "numerics/activation.h"
#include "ops/swiglu.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
/// kRun elements as they lie in memory.
template <class T>
struct Run {
  Packed<T, 8> halves[2];

  __device__ void Load(const T* address) {
    halves[0] = Packed<T, 8>::Load(address);
    halves[1] = Packed<T, 8>::Load(address + 8);
  }

  __device__ void Unpack(float (&values)[kRun]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float unpacked[8];
      halves[half].Unpack(unpacked);
#pragma unroll
      for (int i = 0; i < 8; ++i) values[8 * half + i] = unpacked[i];
    }
  }

  /// The largest magnitude, NaN if there is one.
  __device__ float AbsMax() const {
    if constexpr (std::is_same_v<T, float>) {
      float values[kRun];
      Unpack(values);
      float largest = 0.0f;
#pragma unroll
      for (int i = 0; i < kRun; ++i) largest = LargerMagnitude(largest, values[i]);
      return largest;
    } else {
      __nv_bfloat162 largest = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 four = halves[half].words[0];
        for (const std::uint32_t word : {four.x, four.y, four.z, four.w}) {
          largest = __hmax2_nan(largest, __habs2(reinterpret_cast<const __nv_bfloat162&>(word)));
        }
      }
      return __bfloat162float(__hmax_nan(largest.x, largest.y));
    }
  }
};

/// The scale of the group that `lanes` neighboring lanes hold a run of each. All lanes of a warp call it.
template <class Saved, class T>
__device__ GroupScale ScaleOfGroup(const Run<T>& run, int lanes) {
  float largest = run.AbsMax();
#pragma unroll 1
  for (int distance = 1; distance < lanes; distance *= 2) {
    largest = LargerMagnitude(largest, __shfl_xor_sync(kAllLanes, largest, distance));
  }
  return GroupScaleOf<Saved>(largest);
}

/// Saves the codes of up and gate and finds the largest magnitude of the product. A thread takes 16 columns of up and
/// the same of gate at a time: it reads 64 bytes (bf16) and writes 32 bytes of codes.
template <class T, class Saved>
__global__ void __launch_bounds__(kThreads, 4)
    SaveUpGateKernel(const T* __restrict__ up_gate, std::uint8_t* __restrict__ codes, BFloat16* __restrict__ scales,
                     std::int64_t runs, std::int64_t width, int group_shift, float* absmax) {
  const int lanes = (1 << group_shift) / kRun;
  const bool first_of_group = (threadIdx.x & static_cast<unsigned>(lanes - 1)) == 0;
  float largest = 0.0f;
  for (RunLoop loop(runs, width); loop.Goes(); loop.Advance()) {
    const std::int64_t up_at = loop.up();
    Run<T> run_of_up = {}, run_of_gate = {};
    if (loop.active()) {  // all loads before the work
      run_of_up.Load(up_gate + up_at);
      run_of_gate.Load(up_gate + up_at + width);
    }
    const GroupScale scale_of_up = ScaleOfGroup<Saved>(run_of_up, lanes);
    const GroupScale scale_of_gate = ScaleOfGroup<Saved>(run_of_gate, lanes);
    if (!loop.active()) continue;
    float up[kRun], gate[kRun];
    run_of_up.Unpack(up);
    run_of_gate.Unpack(gate);
    StoreEncoded<Saved>(codes + up_at, up, scale_of_up.reciprocal);
    StoreEncoded<Saved>(codes + up_at + width, gate, scale_of_gate.reciprocal);
    if (first_of_group) {
      scales[up_at >> group_shift] = scale_of_up.stored;
      scales[(up_at + width) >> group_shift] = scale_of_gate.stored;
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) largest = LargerMagnitude(largest, Swiglu(up[i], gate[i]));
  }
  ReportAbsMax<kThreads>(__float_as_uint(largest), absmax);
}

/// The codes of the product, given its largest magnitude. A thread takes runs as in SaveUpGateKernel, from the last on;
/// it reads 64 bytes (bf16) and writes 16.
template <class T, class Product>
__global__ void __launch_bounds__(kThreads, 4)
    ProductCodesKernel(const T* __restrict__ up_gate, const float* __restrict__ absmax,
                       std::uint8_t* __restrict__ codes, float* __restrict__ scales, std::int64_t runs,
                       std::int64_t width) {
  const float scale = ScaleFromAbsMax<Product>(*absmax);
  const float reciprocal = 1.0f / scale;
  if (blockIdx.x == 0 && threadIdx.x == 0) *scales = scale;
  for (RunLoop loop(runs, width, true); loop.Goes(); loop.Advance()) {
    Run<T> run_of_up = {}, run_of_gate = {};
    if (loop.active()) {  // all loads before the work
      run_of_up.Load(up_gate + loop.up());
      run_of_gate.Load(up_gate + loop.up() + width);
    }
    float up[kRun], gate[kRun];
    run_of_up.Unpack(up);
    run_of_gate.Unpack(gate);
#pragma unroll
    for (int i = 0; i < kRun; ++i) up[i] = Swiglu(up[i], gate[i]);
    if (loop.active()) StoreEncoded<Product>(codes + loop.half(), up, reciprocal);
  }
}

}  // namespace

void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const std::int64_t width = args.product.shape()[1];
  const std::int64_t runs = args.product.shape()[0] * width / kRun;
  const unsigned blocks = BlocksForRuns(runs, kThreads, device.multiprocessors());
  const QuantizedView& saved = args.saved_up_gate;
  const int group_shift = std::countr_zero(static_cast<unsigned>(saved.format.group));
  float* absmax = args.absmax.As<float>();
  COAT_REQUIRE(
      IsAligned16(args.up_gate.data()) && IsAligned16(saved.codes.data()) && IsAligned16(args.product.codes.data()),
      "SwigluQuantizeForward's tensors must begin at multiples of 16 bytes");
  COAT_CUDA(cudaMemsetAsync(absmax, 0, sizeof(float), device.stream()));
  VisitPlain(args.up_gate.dtype(), [&]<class T>() {
    VisitFp8(saved.format.dtype, [&]<class Saved>() {
      SaveUpGateKernel<T, Saved>
          <<<blocks, kThreads, 0, device.stream()>>>(args.up_gate.As<T>(), saved.codes.As<std::uint8_t>(),
                                                     saved.scales.As<BFloat16>(), runs, width, group_shift, absmax);
    });
    COAT_CUDA(cudaGetLastError());
    VisitFp8(args.product.format.dtype, [&]<class Product>() {
      ProductCodesKernel<T, Product><<<blocks, kThreads, 0, device.stream()>>>(
          args.up_gate.As<T>(), absmax, args.product.codes.As<std::uint8_t>(), args.product.scales.As<float>(), runs,
          width);
    });
    COAT_CUDA(cudaGetLastError());
  });
}

}  // namespace coat::cuda
