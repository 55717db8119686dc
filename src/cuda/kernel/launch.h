#pragma once

#include <cstdint>

#include "base/divide.h"

namespace coat::cuda {

/// Blocks that `work` units take when each does up to `per_block`.
inline unsigned BlocksFor(std::int64_t work, std::int64_t per_block) {
  return static_cast<unsigned>(DivideUp(work, per_block));
}

/// `blocks` of `threads` as the second argument of __launch_bounds__: no more than a multiprocessor of the architecture
/// that is being compiled for can hold, which is 1536 threads on 8.6, 8.9 and 12.x and 2048 elsewhere.
constexpr int ResidentBlocks(int threads, int blocks) {
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200)
  constexpr int kThreadsOfMultiprocessor = 1536;
#else
  constexpr int kThreadsOfMultiprocessor = 2048;
#endif
  return blocks * threads <= kThreadsOfMultiprocessor ? blocks : kThreadsOfMultiprocessor / threads;
}

}  // namespace coat::cuda
