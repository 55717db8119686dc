#include "engine/bind_arenas.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/system_memory.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

TEST(BoundArenas, RefusesWhatTheSystemHasNotBeforeItTakesAny) {
  const std::optional<std::int64_t> available = AvailableMemory();
  ASSERT_TRUE(available);
  MemoryPlan plan;
  for (const char* name : {"masters", "gradients"}) plan.categories.push_back({name, *available / 4 * 3});
  ExpectParts(ErrorOf<Error>([&] { BoundArenas(plan, Context(DeviceKind::kCpu, 1), 0, "Make it smaller."); }),
              {"this run needs ", " of memory and the system has ", " available:\n  masters ", "Make it smaller."});
}

TEST(BoundArenas, RefusesWhatTheSystemHasForOneRankOfAMachineAndNotForAll) {
  const std::optional<std::int64_t> available = AvailableMemory();
  ASSERT_TRUE(available);
  RunAsRanks(2, [&](Communicator& ranks) {
    MemoryPlan plan;
    plan.categories.push_back({"masters", *available / 4 * (ranks.rank() == 0 ? 2 : 3)});
    ExpectParts(ErrorOf<Error>([&] { BoundArenas(plan, Context(DeviceKind::kCpu, 1), 0, "Make it smaller.", &ranks); }),
                {"rank 0: this run needs ", "its machine's 2 ranks need ", " together, and the system has ",
                 " available:\n  masters ", "Make it smaller. (and 1 other rank failed)"});
  });
}

}  // namespace
}  // namespace coat
