// The tests that need a GPU, in one program that runs where only the CUDA libraries are. Without a GPU it says so
// and leaves with 77, which CTest shows as skipped; a GPU that cannot be used is a failure.

#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/open_device.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const coat::cuda::CudaStatus status = coat::cuda::CheckCudaDevice();
  if (!status.usable) {
    std::fprintf(stderr, "%s: every GPU test: %s\n", status.present ? "FAILED" : "SKIPPED", status.reason.c_str());
    return status.present ? 1 : 77;
  }
  std::printf("On %s\n", status.name.c_str());
  return RUN_ALL_TESTS();
}
