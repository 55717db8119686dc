#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace coat::cuda {

/// Replaces float32 numbers by int32 numbers of the same order, in place: a NaN by the largest, -0 by the one before
/// +0. So a maximum taken of the integers is that of the numbers, and NaN where there is a NaN.
void FloatsToOrder(float* x, std::int64_t elements, cudaStream_t stream);

/// The way back. Bitwise, but for NaNs, which become 0x7fffffff.
void OrderToFloats(float* x, std::int64_t elements, cudaStream_t stream);

}  // namespace coat::cuda
