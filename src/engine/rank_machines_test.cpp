#include "engine/rank_machines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/thread_pool.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

TEST(RankMachines, CountsTheMachineThatThreadsShare) {
  RunAsRanks(3, [](Communicator& ranks) { EXPECT_EQ(MachineCount(ranks), 1); });
}

TEST(RankMachines, DividesTheCoresAndLeavesEachRankOne) {
  const int cores = ThreadPool(0).size();
  RunAsRanks(1, [&](Communicator& ranks) { EXPECT_EQ(CoreShare(ranks), cores); });
  RunAsRanks(2, [&](Communicator& ranks) { EXPECT_EQ(CoreShare(ranks), std::max(1, cores / 2)); });
  RunAsRanks(cores + 1, [](Communicator& ranks) { EXPECT_EQ(CoreShare(ranks), 1); });
}

TEST(RankMachines, AddsUpWhatRanksOfAMachineHave) {
  RunAsRanks(3, [](Communicator& ranks) {
    const MachineSum sum = SumOnMachine(ranks, 5000000000 * (ranks.rank() + 1));
    EXPECT_EQ(sum.ranks, 3);
    EXPECT_EQ(sum.total, 30000000000);
  });
}

TEST(RankMachines, NamesRanksOfAMachineThatHaveOneDevice) {
  RunAsRanks(3, [](Communicator& ranks) {
    const std::string id = std::to_string(ranks.rank());
    EXPECT_NO_THROW(RequireOwnDevices(ranks, id));
    const std::string of_two = ranks.rank() == 0 ? "a" : "b";
    ExpectParts(ErrorOf<ConfigError>([&] { RequireOwnDevices(ranks, of_two); }),
                {"ranks 1 and 2 of 3 have the same GPU", "CUDA_VISIBLE_DEVICES", "--device=cpu"});
  });
}

}  // namespace
}  // namespace coat
