#include "ops/clip.h"

#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr float kEps = 1e-6f;

/// min(1, quotient), and 1 for NaN.
__device__ float Coefficient(float quotient) {
  return quotient < 1.0f ? quotient : 1.0f;
}

/// The root of the sum of squares, added in order by one thread from what its block has loaded.
__global__ void __launch_bounds__(kThreads) TotalNormKernel(const float* norms, std::int64_t count, float* total_norm) {
  __shared__ float loaded[kThreads];
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += kThreads) {
    if (begin + threadIdx.x < count) loaded[threadIdx.x] = norms[begin + threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
      const int some = static_cast<int>(min(count - begin, std::int64_t{kThreads}));
      for (int i = 0; i < some; ++i) {
        const double norm = loaded[i];
        sum += norm * norm;
      }
    }
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  // A NaN's bits are the same on every device.
  *total_norm = isnan(sum) ? __uint_as_float(0x7fc00000u) : static_cast<float>(sqrt(sum));
}

__global__ void __launch_bounds__(kThreads)
    ClipCoefficientsKernel(const float* total_norm, std::int64_t count, float max_norm, float* coefficients) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) coefficients[i] = Coefficient(max_norm / (*total_norm + kEps));
}

__global__ void __launch_bounds__(kThreads)
    AdaptiveClipCoefficientsKernel(const float* norms, std::int64_t count, float max_norm_ratio, float beta,
                                   float* norm_averages, float* coefficients) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const float norm = norms[i];
  const float average = norm_averages[i] > 0.0f ? norm_averages[i] : norm;
  const float coefficient = Coefficient(max_norm_ratio * average / (norm + kEps));
  coefficients[i] = coefficient;
  norm_averages[i] = average + (1.0f - beta) * (coefficient * norm - average);
}

unsigned BlocksOf(std::int64_t count) {
  return BlocksFor(count, kThreads);
}

}  // namespace

void TotalNorm(Context& ctx, const TotalNormArgs& args) {
  TotalNormKernel<<<1, kThreads, 0, DeviceOf(ctx).stream()>>>(args.norms.As<float>(), args.norms.elements(),
                                                              args.total_norm.As<float>());
  COAT_CUDA(cudaGetLastError());
}

void ClipCoefficients(Context& ctx, const ClipCoefficientsArgs& args) {
  const std::int64_t count = args.coefficients.elements();
  if (count == 0) return;
  ClipCoefficientsKernel<<<BlocksOf(count), kThreads, 0, DeviceOf(ctx).stream()>>>(
      args.total_norm.As<float>(), count, args.max_norm, args.coefficients.As<float>());
  COAT_CUDA(cudaGetLastError());
}

void AdaptiveClipCoefficients(Context& ctx, const AdaptiveClipCoefficientsArgs& args) {
  const std::int64_t count = args.norms.elements();
  if (count == 0) return;
  AdaptiveClipCoefficientsKernel<<<BlocksOf(count), kThreads, 0, DeviceOf(ctx).stream()>>>(
      args.norms.As<float>(), count, args.max_norm_ratio, args.beta, args.norm_averages.As<float>(),
      args.coefficients.As<float>());
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
