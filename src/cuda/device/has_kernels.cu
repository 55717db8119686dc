#include "cuda/device/has_kernels.h"

#include <cuda_runtime_api.h>

namespace coat::cuda {

namespace {

__global__ void NothingKernel() {}

}  // namespace

KernelsOnDevice FindKernels(int ordinal) {
  KernelsOnDevice result;
  cudaError_t error = cudaSetDevice(ordinal);
  cudaFuncAttributes attributes = {};
  if (error == cudaSuccess) {
    error = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&NothingKernel));
  }
  result.found = error == cudaSuccess;
  const bool are_missing = error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction;
  if (!result.found && !are_missing) {
    result.problem = std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
  }
  cudaGetLastError();  // the error is the answer
  return result;
}

}  // namespace coat::cuda
