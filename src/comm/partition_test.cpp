#include "comm/partition.h"

#include <gtest/gtest.h>

#include <vector>

namespace coat {
namespace {

TEST(Partition, CoversATensorInWholeUnits) {
  for (const std::int64_t elements : {0, 1, 127, 128, 129, 640, 1000, 4096, 4097}) {
    for (const std::int64_t unit : {1, 16, 128, 384}) {
      for (const int ranks : {1, 2, 3, 7, 64}) {
        const std::int64_t longest = PartOf(elements, unit, 0, ranks).count;
        const std::int64_t units = (elements + unit - 1) / unit;
        std::int64_t end = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Part part = PartOf(elements, unit, rank, ranks);
          SCOPED_TRACE(testing::Message() << elements << " in " << unit << "s, rank " << rank << " of " << ranks);
          EXPECT_EQ(part.first, end);
          EXPECT_GE(part.count, 0);
          // No rank has more than its share, rounded up to a unit; only the end of the tensor cuts a unit.
          EXPECT_LE(part.count, (units + ranks - 1) / ranks * unit);
          EXPECT_LE(part.count, longest);
          if (part.end() != elements) {
            EXPECT_EQ(part.end() % unit, 0);
            EXPECT_EQ(part.count, longest);
          }
          end = part.end();
        }
        EXPECT_EQ(end, elements);
      }
    }
  }
}

TEST(Partition, GivesOneRankEverything) {
  EXPECT_EQ(PartOf(1000, 128, 0, 1), (Part{0, 1000}));
}

TEST(Partition, CountsBeyondTwoToTheThirtyOne) {
  const std::int64_t elements = (std::int64_t{1} << 40) + 5;
  EXPECT_EQ(PartOf(elements, 128, 1023, 1024).end(), elements);
  EXPECT_EQ(PartOf(elements, 128, 0, 1024).count, (std::int64_t{1} << 30) + 128);
}

TEST(Partition, SharesWholeGroupsAndWholeRunsOf128) {
  EXPECT_EQ(SharingUnit(1), 128);
  EXPECT_EQ(SharingUnit(16), 128);
  EXPECT_EQ(SharingUnit(128), 128);
  EXPECT_EQ(SharingUnit(256), 256);
  EXPECT_EQ(SharingUnit(96), 384);
}

TEST(Partition, SeesAPartAsATensor) {
  std::vector<std::uint16_t> values(10);
  const TensorView whole(values.data(), {2, 5}, DType::kBF16, DeviceKind::kCpu);
  const TensorView part = ViewOf(whole, {3, 4});
  EXPECT_EQ(part.data(), values.data() + 3);
  EXPECT_EQ(part.shape(), (Shape{4}));
  EXPECT_EQ(part.dtype(), DType::kBF16);
}

}  // namespace
}  // namespace coat
