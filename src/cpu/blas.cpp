#include "cpu/blas.h"

#include <cblas.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>

#include "base/error.h"

// What some BLAS have and others have not; null where it is not linked. Weak, not looked up by name while the program
// runs: a BLAS that is linked statically shows no names then.
extern "C" {
[[gnu::weak]] void openblas_set_num_threads(int);
[[gnu::weak]] char* openblas_get_config();
[[gnu::weak]] void MKL_Set_Num_Threads(int);
[[gnu::weak]] void bli_thread_set_num_threads(std::int64_t);
}

namespace coat::cpu {

namespace {

/// Tells the BLAS to use no threads of its own: two layers of threads would fight for the cores.
bool UseOneThreadPerCall() {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  if (MKL_Set_Num_Threads != nullptr) MKL_Set_Num_Threads(1);
  if (bli_thread_set_num_threads != nullptr) bli_thread_set_num_threads(1);
  return true;
}

/// OpenBLAS takes a buffer for each thread, and where there is no memory for it asks for ever: so we ask before.
bool RequireMemoryOfAThread() {
  if (openblas_get_config == nullptr) return true;
  constexpr std::size_t kBuffer = 128 << 20;
  void* const buffer = mmap(nullptr, kBuffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) {
    throw Error(
        "there is no memory for matrix products: OpenBLAS takes 128 MiB for each thread; use fewer --threads, or raise "
        "the limit of the address space (ulimit -v)");
  }
  munmap(buffer, kBuffer);
  return true;
}

std::atomic<std::int64_t> nanoseconds_in_blas{0};

}  // namespace

void Sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  static const bool one_thread = UseOneThreadPerCall();
  thread_local const bool has_memory = RequireMemoryOfAThread();
  static_cast<void>(one_thread && has_memory);
  const auto start = std::chrono::steady_clock::now();
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha, a, static_cast<int>(lda), b,
              static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
  nanoseconds_in_blas.fetch_add((std::chrono::steady_clock::now() - start).count(), std::memory_order_relaxed);
}

std::string BlasDescription() {
  return openblas_get_config != nullptr ? openblas_get_config() : "a CBLAS that does not tell its version";
}

std::string BlasAdvice() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AdviceOnAvx2(BlasDescription());
#endif
  return "";
}

std::string AdviceOnAvx2(std::string_view description) {
  constexpr std::string_view kWithoutAvx2[] = {"Prescott",     "Core2",     "Penryn", "Dunnington", "Nehalem",
                                               "Sandybridge",  "Atom",      "Nano",   "Athlon",     "Opteron",
                                               "Opteron_SSE3", "Barcelona", "Bobcat", "Bulldozer",  "Piledriver"};
  if (!description.starts_with("OpenBLAS")) return "";
  for (const std::string_view kernels : kWithoutAvx2) {
    if ((std::string(description) + " ").find(fmt::format(" {} ", kernels)) == std::string::npos) continue;
    return fmt::format(
        "OpenBLAS took its kernels for {}, which leave the AVX2 of this processor unused, so matrix products take "
        "several times as long; OPENBLAS_CORETYPE=Haswell in the environment makes it take faster ones (SkylakeX: with "
        "AVX-512)",
        kernels);
  }
  return "";
}

double SecondsInBlas() {
  return static_cast<double>(nanoseconds_in_blas.load(std::memory_order_relaxed)) * 1e-9;
}

}  // namespace coat::cpu
