#pragma once

#include <string>

namespace coat::cuda {

/// Why cuDNN cannot be used, and what to do; empty if it can.
std::string CudnnProblem();

/// Loads cuDNN, once; its functions may be called from then on. Throws Error with CudnnProblem().
void LoadCudnn();

}  // namespace coat::cuda
