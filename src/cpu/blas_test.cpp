#include "cpu/blas.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/killed_process.h"

extern "C" {
[[gnu::weak]] char* openblas_get_config();  // null where the BLAS is another
}

namespace coat::cpu {
namespace {

double SecondsOf(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// However the BLAS is linked, threads of its own would fight with ours for the cores.
TEST(Blas, ComputesOnTheThreadThatCalls) {
  constexpr std::int64_t kSize = 768;
  const std::vector<float> a(kSize * kSize, 1.0f);
  std::vector<float> c(kSize * kSize);
  const auto multiply = [&] {
    Sgemm(false, true, kSize, kSize, kSize, 1.0f, a.data(), kSize, a.data(), kSize, 0.0f, c.data(), kSize);
  };
  multiply();
  // OpenBLAS starts threads when it is loaded; until they sleep they wait at work.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double of_thread = SecondsOf(CLOCK_THREAD_CPUTIME_ID);
  const double of_process = SecondsOf(CLOCK_PROCESS_CPUTIME_ID);
  for (int i = 0; i < 20; ++i) multiply();
  const double here = SecondsOf(CLOCK_THREAD_CPUTIME_ID) - of_thread;
  const double everywhere = SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - of_process;
  EXPECT_EQ(c.back(), static_cast<float>(kSize));
  EXPECT_LT(everywhere - here, 0.1 * here) << "seconds of processors, of " << here << " on this thread";
}

// OpenBLAS itself would not come back.
TEST(Blas, SaysThatThereIsNoMemoryForAThread) {
  if (openblas_get_config == nullptr) GTEST_SKIP() << "this is not OpenBLAS, but " << BlasDescription();
  EXPECT_EQ(ExitStatusOf(Fork([] {
              std::int64_t pages = 0;
              std::ifstream("/proc/self/statm") >> pages;
              const auto limit = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + (100 << 20));
              const rlimit address_space = {limit, limit};
              if (setrlimit(RLIMIT_AS, &address_space) != 0) return kNotAllowed;
              int status = 1;
              std::thread([&status] {
                const float one = 1.0f;
                float result = 0.0f;
                try {
                  Sgemm(false, false, 1, 1, 1, 1.0f, &one, 1, &one, 1, 0.0f, &result, 1);
                } catch (const Error& error) {
                  status = std::string(error.what()).find("128 MiB") == std::string::npos ? 2 : 0;
                }
              }).join();
              return status;
            })),
            0);
}

// What `coat info` shows must not depend on how the BLAS is linked.
TEST(Blas, SaysWhatItIs) {
  if (openblas_get_config == nullptr) GTEST_SKIP() << "this is not OpenBLAS, but " << BlasDescription();
  EXPECT_EQ(BlasDescription(), openblas_get_config());
}

TEST(Blas, AdvisesWhereItsKernelsAreOlderThanTheProcessor) {
  const std::string older = "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Prescott MAX_THREADS=64";
  ExpectParts(AdviceOnAvx2(older), {"its kernels for Prescott", "OPENBLAS_CORETYPE=Haswell"});
  ExpectParts(AdviceOnAvx2("OpenBLAS 0.3.21 Sandybridge"), {"Sandybridge"});
  for (const char* kernels : {"Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"}) {
    EXPECT_EQ(AdviceOnAvx2(fmt::format("OpenBLAS 0.3.21 DYNAMIC_ARCH {} MAX_THREADS=64", kernels)), "") << kernels;
  }
  EXPECT_EQ(AdviceOnAvx2("a CBLAS that does not tell its version"), "");
}

}  // namespace
}  // namespace coat::cpu
