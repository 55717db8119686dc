// The tests that need a GPU, in one program that runs where only the CUDA libraries are. Without a usable GPU it says
// why and leaves with 77, which CTest shows as skipped.

#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/open_device.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const coat::cuda::CudaStatus status = coat::cuda::CheckCudaDevice();
  if (!status.usable) {
    std::fprintf(stderr, "SKIPPED: every GPU test, since %s\n", status.reason.c_str());
    return 77;
  }
  std::printf("On %s\n", status.name.c_str());
  return RUN_ALL_TESTS();
}
