// The tests of several ranks on GPUs, in one program of its own: a GPU is started in a process that has no other. Where
// there are fewer GPUs than ranks they share them. Without a GPU it says so and leaves with 77, which CTest shows as
// skipped; a GPU that cannot be used is a failure.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "cuda/open_device.h"
#include "tests/gpu/rank_gpus.h"

namespace coat {

namespace {

/// What `body` returns in a child process; 1 if that ends otherwise.
int InChild(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int result = body();
    std::fflush(nullptr);
    ::_exit(result);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int Check() {
  const cuda::CudaStatus status = cuda::CheckCudaDevice();
  if (status.usable) return 0;
  std::fprintf(stderr, "%s: every test of ranks on GPUs: %s\n", status.present ? "FAILED" : "SKIPPED",
               status.reason.c_str());
  return status.present ? 1 : 77;
}

}  // namespace

int GpuCount() {
  static const int count = InChild(&cuda::CountCudaDevices);
  return count;
}

int GpuOfRank(int rank, int ranks) {
  if (GpuCount() >= ranks) return rank;
  ::setenv("NCCL_HOSTID", ("coat-rank-" + std::to_string(rank)).c_str(), /*overwrite=*/1);
  return rank % GpuCount();
}

}  // namespace coat

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const int status = coat::InChild(&coat::Check); status != 0) return status;
  std::printf("On %d GPUs\n", coat::GpuCount());
  return RUN_ALL_TESTS();
}
