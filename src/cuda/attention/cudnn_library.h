#pragma once

#include <cstddef>
#include <string>

namespace coat::cuda {

/// Why cuDNN cannot be used, and what to do; empty if it can.
std::string CudnnProblem();

/// Loads cuDNN, once; its functions may be called from then on. Throws Error with CudnnProblem().
void LoadCudnn();

/// As cuDNN counts: 91801 is 9.18.1. 0 if it cannot be used.
std::size_t CudnnVersion();

}  // namespace coat::cuda
