#pragma once
// The GPU that the tests of this folder run on.

#include "base/context.h"
#include "cuda/open_device.h"

namespace coat {

/// A context on the first CUDA device.
inline Context OpenGpu(const cuda::CudaOptions& options = {}) {
  return Context(cuda::OpenCudaDevice(options));
}

}  // namespace coat
