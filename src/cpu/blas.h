#pragma once
// The one door to the BLAS. Our threads split the work; each call runs on the thread that makes it.

#include <cstdint>
#include <string>

namespace coat::cpu {

/// c = alpha op(a) op(b) + beta c in float32, row-major; op transposes where asked. c is [m, n], the inner extent is k.
/// lda, ldb and ldc are the distances between rows as stored. With beta 0, c is not read.
void Sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc);

/// What the BLAS says of itself, for `coat info`: "OpenBLAS 0.3.21 SkylakeX", or "a CBLAS without a version".
std::string BlasDescription();

/// Seconds that all threads together have spent in Sgemm since the process started; for benchmarks.
double SecondsInBlas();

}  // namespace coat::cpu
