#pragma once
// Instruction sets: what the compiler was allowed to use, and what this machine has.

#include <string>
#include <vector>

namespace coat {

struct CpuDescription {
  std::string model = "unknown";          // as the system calls it
  std::vector<std::string> has = {};      // of those that matter here
  std::vector<std::string> missing = {};  // those that this build uses and the machine lacks: it would end with SIGILL
};

/// What /proc/cpuinfo says. Where there is none, or for another architecture than x86-64, nothing is missing.
CpuDescription DescribeCpu();

/// The same for the text of a /proc/cpuinfo.
CpuDescription DescribeCpu(const std::string& cpuinfo);

}  // namespace coat
