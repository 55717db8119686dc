#pragma once

#include <cuda_pipeline_primitives.h>

namespace coat::cuda {

/// Waits until at most `kPending` of the thread's committed groups of asynchronous copies are under way. What the
/// others have brought may be read behind it: CUDA's own wait alone does not keep the compiler from reading before.
template <int kPending>
__device__ inline void WaitForCopies() {
  __pipeline_wait_prior(kPending);
  asm volatile("" ::: "memory");
}

}  // namespace coat::cuda
