#include "evaluate/shared_batches.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "comm/solo.h"

namespace coat {
namespace {

TEST(ShareBatches, GivesEachBatchToOneRankAndAllTheSameNumberOfCalls) {
  for (const int count : {1, 2, 3, 4, 7}) {
    for (const std::int64_t batches : {0, 1, 4, 5, 14}) {
      std::multiset<std::int64_t> counted;
      for (int rank = 0; rank < count; ++rank) {
        std::vector<std::int64_t> evaluated, reported;
        ShareBatches(
            *MakeMeasuring(rank, count), batches,
            [&](std::int64_t batch, bool counts) {
              EXPECT_GE(batch, 0);
              EXPECT_LT(batch, batches);
              evaluated.push_back(batch);
              if (!counts) return;
              EXPECT_EQ(batch % count, rank);
              counted.insert(batch);
            },
            [&](std::int64_t done) {
              reported.push_back(done);
              EXPECT_LE(done, static_cast<std::int64_t>(evaluated.size()) * count);
            });
        EXPECT_EQ(static_cast<std::int64_t>(evaluated.size()), (batches + count - 1) / count);
        ASSERT_EQ(static_cast<std::int64_t>(reported.size()), batches);
        for (std::int64_t i = 0; i < batches; ++i) EXPECT_EQ(reported[static_cast<std::size_t>(i)], i + 1);
      }
      EXPECT_EQ(static_cast<std::int64_t>(counted.size()), batches);
      EXPECT_EQ(std::set<std::int64_t>(counted.begin(), counted.end()).size(), counted.size());
    }
  }
}

}  // namespace
}  // namespace coat
