// What keeps a machine from training on a GPU, and what to do about it.

#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include "cuda/attention/cudnn_library.h"
#include "cuda/device/has_kernels.h"
#include "cuda/gemm/cublaslt.h"
#include "cuda/open_device.h"

namespace coat::cuda {

namespace {

constexpr const char* kCpuAdvice = "use --device=cpu to train without";

}  // namespace

CudaStatus CheckCudaDevice(int ordinal) {
  CudaStatus status;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    status.present = driver != 0;
    status.reason = driver == 0
                        ? "there is no NVIDIA driver (libcuda.so.1); install one, or use --device=cpu"
                        : fmt::format(
                              "the NVIDIA driver is too old: it has CUDA {}.{}, and CUDA {}.{} is needed; update it, "
                              "or use --device=cpu",
                              driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return status;
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    status.reason =
        "the driver shows no CUDA device (CUDA_VISIBLE_DEVICES may hide them); use --device=cpu to train without";
    return status;
  }
  status.present = true;
  if (error != cudaSuccess) {
    status.reason =
        fmt::format("CUDA does not start: {} ({}); {}", cudaGetErrorString(error), cudaGetErrorName(error), kCpuAdvice);
    return status;
  }
  if (ordinal >= count) {
    status.reason = fmt::format("there is no CUDA device {}: the driver shows {}; {}", ordinal, count, kCpuAdvice);
    return status;
  }
  cudaDeviceProp properties = {};
  if (const cudaError_t failed = cudaGetDeviceProperties(&properties, ordinal); failed != cudaSuccess) {
    status.reason = fmt::format("CUDA device {}: {} ({}); {}", ordinal, cudaGetErrorString(failed),
                                cudaGetErrorName(failed), kCpuAdvice);
    return status;
  }
  status.name = fmt::format("{}, compute capability {}.{}, {:.1f} GiB", properties.name, properties.major,
                            properties.minor, static_cast<double>(properties.totalGlobalMem) / (1 << 30));
  const KernelsOnDevice kernels = FindKernels(ordinal);
  if (!kernels.problem.empty()) {
    status.reason = fmt::format("{} does not start: {}; other processes may hold it or its memory; {}", status.name,
                                kernels.problem, kCpuAdvice);
    return status;
  }
  if (!kernels.found) {
    status.reason = fmt::format(
        "this build has no kernels for {}: it was built for {}; configure with "
        "-DCOAT_CUDA_ARCHITECTURES={}{}, or use --device=cpu",
        status.name, COAT_CUDA_ARCHITECTURES, properties.major, properties.minor);
    return status;
  }
  status.reason = CublasLtProblem();
  if (status.reason.empty()) status.reason = CudnnProblem();
  status.usable = status.reason.empty();
  return status;
}

int CountCudaDevices() {
  int count = 0;
  const bool is_counted = cudaGetDeviceCount(&count) == cudaSuccess;
  cudaGetLastError();  // what is wrong CheckCudaDevice says
  return is_counted ? count : 0;
}

}  // namespace coat::cuda
