#pragma once

#include <string>

namespace coat::cuda {

struct KernelsOnDevice {
  bool found = false;   // this program has machine code for the device
  std::string problem;  // the runtime's words if the device does not start, so that nobody knows; else empty
};

/// Starts device `ordinal` to see whether this program can run on it; it is then the calling thread's.
KernelsOnDevice FindKernels(int ordinal);

}  // namespace coat::cuda
