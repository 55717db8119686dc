#include "cuda/has_kernels.h"

#include <cuda_runtime_api.h>

namespace coat::cuda {

namespace {

__global__ void NothingKernel() {}

}  // namespace

bool HasKernels(int ordinal) {
  int before = 0;
  if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(ordinal) != cudaSuccess) return false;
  cudaFuncAttributes attributes = {};
  const bool found = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&NothingKernel)) == cudaSuccess;
  cudaGetLastError();  // the error is the answer
  cudaSetDevice(before);
  return found;
}

}  // namespace coat::cuda
