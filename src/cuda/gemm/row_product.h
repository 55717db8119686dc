#pragma once

#include "cuda/device/device.h"
#include "ops/gemm.h"

namespace coat::cuda {

/// Whether RowProduct takes a product: one row a of plain elements times the rows of b (kNT), not accumulated, K a
/// multiple of 8 and both operands aligned to 16 bytes.
bool TakesRowProduct(const GemmArgs& args);

/// Gemm of what TakesRowProduct is true of: the product of one token, which reads each element of b once and is done
/// as fast as memory gives them. Exactness: bound, as Gemm; the order of sums depends on K alone.
void RowProduct(CudaDevice& device, const GemmArgs& args);

}  // namespace coat::cuda
