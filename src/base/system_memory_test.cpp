#include "base/system_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace coat {
namespace {

class SystemMemory : public ::testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_.File(file)).parent_path());
    folder_.Write(file, text);
  }
  std::optional<std::int64_t> Available() const { return AvailableMemory(folder_.path()); }

  TempDir folder_;
};

TEST_F(SystemMemory, IsWhatTheKernelCallsAvailableWithFreeSwap) {
  EXPECT_EQ(Available(), std::nullopt);
  Write("proc/meminfo", "MemTotal:       100 kB\nMemFree:  20 kB\nMemAvailable:   60 kB\nSwapFree:   3 kB\n");
  EXPECT_EQ(Available(), 63 * 1024);
}

TEST_F(SystemMemory, IsAtMostTheLimitOfAGroupOrOneAroundIt) {
  Write("proc/meminfo", "MemAvailable:   60 kB\nSwapFree:   0 kB\n");
  Write("proc/self/cgroup", "0::/jobs/one\n");
  Write("sys/fs/cgroup/jobs/one/memory.max", "max\n");
  EXPECT_EQ(Available(), 60 * 1024);
  Write("sys/fs/cgroup/jobs/memory.max", "5000\n");
  EXPECT_EQ(Available(), 5000);
  Write("sys/fs/cgroup/jobs/one/memory.max", "4000\n");
  EXPECT_EQ(Available(), 4000);
}

TEST_F(SystemMemory, KnowsTheFirstVersionOfGroups) {
  Write("proc/meminfo", "MemAvailable:   60 kB\n");
  Write("proc/self/cgroup", "5:cpu,cpuacct:/job\n4:memory:/job\n");
  Write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "7000\n");
  Write("sys/fs/cgroup/cpu,cpuacct/job/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(Available(), 7000);
}

TEST(SystemMemoryHere, IsKnown) {
  const std::optional<std::int64_t> available = AvailableMemory();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, std::int64_t{1} << 20);
}

}  // namespace
}  // namespace coat
