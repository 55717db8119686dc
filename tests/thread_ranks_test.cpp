// Threads as ranks (tests/support/thread_ranks.h): what becomes of the others when one fails.

#include "tests/support/thread_ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "base/context.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

TEST(ThreadRanks, ThrowTheFirstErrorAndEndTheOthers) {
  std::atomic<int> ended = 0;
  EXPECT_EQ(ErrorOf<std::runtime_error>([&] {
              RunAsRanks(4, [&](Communicator& ranks) {
                try {
                  const std::unique_ptr<Communicator> half = ranks.Split(ranks.rank() / 2);
                  if (ranks.rank() == 1) throw std::runtime_error("out of memory");
                  // Rank 0 waits within its half; the other half for all, of whom one is missing.
                  (ranks.rank() == 0 ? *half : ranks).Barrier();
                } catch (const CommError&) {
                  ++ended;
                  throw;
                }
              });
            }),
            "out of memory");
  EXPECT_EQ(ended, 3);
}

TEST(ThreadRanks, DoNotWaitForOneThatHasEnded) {
  ExpectParts(ErrorOf<CommError>([] {
                RunAsRanks(2, [](Communicator& ranks) {
                  if (ranks.rank() == 0) ranks.Barrier();
                });
              }),
              {"rank 0", "rank 1 is gone"});
}

TEST(ThreadRanks, NoticeTensorsOfDifferentShapes) {
  ExpectParts(ErrorOf<CommError>([] {
                RunAsRanks(2, [](Communicator& ranks) {
                  Context ctx(DeviceKind::kCpu, 1);
                  std::vector<float> values(static_cast<std::size_t>(100 + ranks.rank()));
                  ranks.AllReduce(
                      ctx,
                      std::vector<TensorView>{
                          {values.data(), {static_cast<std::int64_t>(values.size())}, DType::kF32, DeviceKind::kCpu}},
                      Reduction::kSum);
                });
              }),
              {"bytes; expected"});
}

TEST(ThreadRanksDeathTest, AbortEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RunAsRanks(2,
                         [](Communicator& ranks) {
                           if (ranks.rank() == 1) ranks.Abort(9);
                           ranks.Barrier();
                         }),
              testing::ExitedWithCode(9), "");
}

}  // namespace
}  // namespace coat
