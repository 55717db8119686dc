#pragma once
// The one door to the BLAS. Our threads split the work; each call runs on the thread that makes it.

#include <cstdint>
#include <string>
#include <string_view>

namespace coat::cpu {

/// c = alpha op(a) op(b) + beta c in float32, row-major; op transposes where asked. c is [m, n], the inner extent is k.
/// lda, ldb and ldc are the distances between rows as stored. With beta 0, c is not read. Throws Error where there is no
/// memory for a thread's first call of OpenBLAS.
void Sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc);

/// What the BLAS says of itself, for `coat info`: "OpenBLAS 0.3.21 ... SkylakeX MAX_THREADS=64", or that it tells
/// nothing.
std::string BlasDescription();

/// What to do where the BLAS took slower kernels than the processor could run; "" where it did not. An OpenBLAS that is
/// older than the processor takes kernels without AVX2.
std::string BlasAdvice();

/// The same for what a BLAS says of itself, on a processor that has AVX2 and FMA.
std::string AdviceOnAvx2(std::string_view description);

/// Seconds that all threads together have spent in Sgemm since the process started; for benchmarks.
double SecondsInBlas();

}  // namespace coat::cpu
