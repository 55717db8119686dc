#pragma once
// The small kernels around a matrix product: scales as cuBLASLt wants them, operands decoded, results compared.

#include <cuda_runtime_api.h>

#include <cstdint>

#include "base/tensor.h"
#include "numerics/bfloat16.h"

namespace coat::cuda {

/// a_copy[0] = *a, b_copy[0] = *b.
void CopyScales(cudaStream_t stream, const float* a, const float* b, float* a_copy, float* b_copy);

/// Two per-tensor scales as one scale a row of each operand: their product for every row of b, 1 for every row of a. So
/// the sum is multiplied once, by the same number as with per-tensor scales.
void SpreadScales(cudaStream_t stream, const float* a, const float* b, float* a_rows, std::int64_t a_count,
                  float* b_rows, std::int64_t b_count);

/// out [columns, rows] = scales [rows, columns] transposed.
void TransposeScales(cudaStream_t stream, const float* scales, std::int64_t rows, std::int64_t columns, float* out);

/// out [rows, padded] = scales [rows, columns], with zeros after each row.
void PadScales(cudaStream_t stream, const float* scales, std::int64_t rows, std::int64_t columns, std::int64_t padded,
               float* out);

/// factors = {*a * *b, beta}; a and b may be null, which stands for 1.
void WriteFactors(cudaStream_t stream, const float* a, const float* b, float beta, float* factors);

/// out = the codes of `x`, FP8 in any scaling, as bf16: exact for per-tensor scales, which are left out; codes times
/// scales rounded once for groups of 128 and blocks. `out` is aligned to 16 bytes.
void DecodeToBFloat16(cudaStream_t stream, const ConstQuantizedView& x, BFloat16* out);

/// *hash = a number that depends on every bit of `x`, f32 or bf16, and on nothing else.
void HashElements(cudaStream_t stream, const ConstTensorView& x, unsigned long long* hash);

/// *count = how many elements of `x`, f32, bf16 or codes of FP8, are neither 0 nor -0.
void CountNonZeros(cudaStream_t stream, const ConstTensorView& x, unsigned long long* count);

}  // namespace coat::cuda
