#include "tools/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace coat {
namespace {

TEST(DescribeCpu, ReadsTheFirstProcessor) {
  const CpuDescription cpu = DescribeCpu(
      "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx avx2x fma\nvmx flags\t: "
      "avx2\n\n"
      "processor\t: 1\nmodel name\t: Another\nflags\t\t: avx2\n");
  EXPECT_EQ(cpu.model, "Some CPU @ 2.00GHz");
  EXPECT_EQ(cpu.has, (std::vector<std::string>{"avx", "fma"}));
}

TEST(DescribeCpu, MissesWhatThisBuildUses) {
  const CpuDescription cpu = DescribeCpu("flags\t\t: fpu\n");
  EXPECT_TRUE(cpu.has.empty());
#ifdef __AVX2__
  EXPECT_NE(std::find(cpu.missing.begin(), cpu.missing.end(), "avx2"), cpu.missing.end());
#else
  EXPECT_EQ(std::find(cpu.missing.begin(), cpu.missing.end(), "avx2"), cpu.missing.end());
#endif
}

TEST(DescribeCpu, ThatTheSystemDoesNotDescribeMissesNothing) {
  for (const char* cpuinfo : {"", "flags\t\t:\n", "Features\t: asimd\n", "model name"}) {
    const CpuDescription cpu = DescribeCpu(cpuinfo);
    EXPECT_EQ(cpu.model, "unknown");
    EXPECT_TRUE(cpu.missing.empty());
  }
}

TEST(DescribeCpu, OfThisMachineMissesNothing) {
  EXPECT_TRUE(DescribeCpu().missing.empty());
}

}  // namespace
}  // namespace coat
