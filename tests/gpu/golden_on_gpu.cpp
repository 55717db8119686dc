// tests/golden_coat_test.cpp on the GPU. The tests read tensors between ops, so they lie in memory that both reach, and
// every kernel is waited for where it is started.

#include <cstdlib>

#include "tests/gpu/gpu.h"
#include "tests/support/golden_coat.h"

namespace coat {

namespace {

/// Before main: CUDA reads it when it starts.
[[maybe_unused]] const int kWaitForKernels = setenv("CUDA_LAUNCH_BLOCKING", "1", /*overwrite=*/1);

}  // namespace

Context OpenGoldenContext() {
  return OpenGpu();
}

Operands::Memory GoldenMemory() {
  return {DeviceKind::kCuda, cuda::AllocateForHostAndDevice};
}

}  // namespace coat
