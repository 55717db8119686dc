#include "cpu/blas.h"

#include <cblas.h>
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

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

// What `coat info` shows must not depend on how the BLAS is linked.
TEST(Blas, SaysWhatItIs) {
#ifdef OPENBLAS_VERSION
  EXPECT_EQ(BlasDescription().find("OpenBLAS"), 0u) << BlasDescription();
#else
  GTEST_SKIP() << "this is not OpenBLAS, but " << BlasDescription();
#endif
}

}  // namespace
}  // namespace coat::cpu
