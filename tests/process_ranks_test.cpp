// Processes as ranks (tests/support/process_ranks.h).

#include "tests/support/process_ranks.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace coat {
namespace {

constexpr unsigned kSeconds = 20;

TEST(ProcessRanks, TalkInGroupsToo) {
  for (const int count : {1, 2, 4}) {
    RunAsProcesses(count, kSeconds, [count](Communicator& ranks) {
      ASSERT_EQ(ranks.size(), count);
      std::vector<double> sum = {static_cast<double>(ranks.rank())};
      ranks.AllReduce(sum, Reduction::kSum);
      EXPECT_EQ(sum[0], count * (count - 1) / 2);
      const std::unique_ptr<Communicator> half = ranks.Split(ranks.rank() % 2);
      const std::vector<std::string> texts = half->AllGatherText(std::to_string(ranks.rank()));
      for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(texts[i], std::to_string(2 * static_cast<int>(i) + ranks.rank() % 2));
      }
    });
  }
}

TEST(ProcessRanks, FailWhereOneFailsAndWaitForNoOther) {
  const auto begin = std::chrono::steady_clock::now();
  testing::TestPartResultArray failures;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    RunAsProcesses(2, kSeconds, [](Communicator& ranks) {
      if (ranks.rank() == 1) ::_exit(3);
      while (true) ::pause();
    });
  }
  EXPECT_EQ(failures.size(), 2);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(kSeconds));
}

}  // namespace
}  // namespace coat
