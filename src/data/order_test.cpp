#include "data/order.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <vector>

#include "base/error.h"

namespace coat {
namespace {

// Every expected order was made by NumPy 2.4.6 and OLMo's rules for the tail.

using Order = std::vector<std::uint32_t>;

std::uint32_t Checksum(const Order& order) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(order.data()), static_cast<uInt>(order.size() * 4)));
}

TEST(BuildOrder, EqualsOlmoWhereTheRanksDivideTheData) {
  EXPECT_EQ(BuildOrder({.seed = 6198, .sequence_count = 10}), (Order{2, 4, 7, 3, 8, 9, 0, 6, 1, 5}));
  EXPECT_EQ(BuildOrder({.seed = 6198, .epoch = 1, .sequence_count = 12, .world_size = 4}),
            (Order{9, 11, 4, 8, 5, 6, 2, 1, 10, 3, 0, 7}));
}

TEST(BuildOrder, DropsTheTail) {
  EXPECT_EQ(BuildOrder({.seed = 6198, .sequence_count = 10, .world_size = 4}), (Order{2, 4, 7, 3, 8, 9, 0, 6}));
  EXPECT_EQ(BuildOrder({.seed = 6198, .sequence_count = 3, .world_size = 8}), Order{});
}

TEST(BuildOrder, RepeatsTheHead) {
  EXPECT_EQ(BuildOrder({.seed = 6198, .sequence_count = 10, .world_size = 4, .drop_last = false}),
            (Order{2, 4, 7, 3, 8, 9, 0, 6, 1, 5, 2, 4}));
  EXPECT_EQ(BuildOrder({.seed = 6198, .epoch = 3, .sequence_count = 10, .world_size = 4, .drop_last = false}),
            (Order{4, 9, 3, 6, 7, 5, 8, 1, 0, 2, 4, 9}));
  // More ranks than twice the data: the head again and again.
  EXPECT_EQ(BuildOrder({.seed = 6198, .sequence_count = 3, .world_size = 8, .drop_last = false}),
            (Order{2, 0, 1, 2, 0, 1, 2, 0}));
}

TEST(BuildOrder, EqualsOlmoOnLargerData) {
  OrderOptions options = {.seed = 6198, .epoch = 2, .sequence_count = 100'000, .world_size = 8, .drop_last = false};
  EXPECT_EQ(OrderSize(options), 100'000);
  EXPECT_EQ(Checksum(BuildOrder(options)), 0x05762681u);
  options.sequence_count = 100'003;
  EXPECT_EQ(OrderSize(options), 100'008);
  EXPECT_EQ(Checksum(BuildOrder(options)), 0xe90945aau);
  options.drop_last = true;
  EXPECT_EQ(OrderSize(options), 100'000);
  EXPECT_EQ(Checksum(BuildOrder(options)), 0x38ad36cbu);
}

TEST(BuildOrder, TakesNoDataAtAll) {
  EXPECT_EQ(BuildOrder({.world_size = 4, .drop_last = true}), Order{});
  EXPECT_EQ(BuildOrder({.world_size = 4, .drop_last = false}), Order{});
}

TEST(OrderSize, CountsIn64Bits) {
  EXPECT_EQ(OrderSize({.sequence_count = 4'294'967'294, .world_size = 256}), 4'294'967'040);
  EXPECT_EQ(OrderSize({.sequence_count = 4'294'967'294, .world_size = 256, .drop_last = false}), 4'294'967'296);
}

TEST(OrderSize, RefusesImpossibleCounts) {
  EXPECT_THROW(OrderSize({.sequence_count = 4'294'967'295}), ArgumentError);
  EXPECT_THROW(OrderSize({.sequence_count = -1}), ArgumentError);
  EXPECT_THROW(OrderSize({.sequence_count = 1, .world_size = 0}), ArgumentError);
  EXPECT_THROW(BuildOrder({.epoch = -1, .sequence_count = 1}), ArgumentError);
}

}  // namespace
}  // namespace coat
