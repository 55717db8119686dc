#include "data/micro_batches.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace coat {
namespace {

using Order = std::vector<std::int64_t>;
/// What a step trains on together, each micro-batch by its sequences.
using MicroBatches = std::multiset<Order>;

TEST(MicroBatchOrder, TakesEveryNthSequenceForEachOfNMicroBatches) {
  EXPECT_EQ(MicroBatchOrder(6, 2), (Order{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(MicroBatchOrder(6, 3), (Order{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(MicroBatchOrder(4, 1), (Order{0, 1, 2, 3}));
  EXPECT_EQ(MicroBatchOrder(4, 4), (Order{0, 1, 2, 3}));
}

TEST(MicroBatchOrder, LeavesTheRestToTheLastMicroBatch) {
  EXPECT_EQ(MicroBatchOrder(8, 3), (Order{0, 2, 4, 1, 3, 5, 6, 7}));
  EXPECT_EQ(MicroBatchOrder(2, 5), (Order{0, 1}));
}

MicroBatches OfAllRanks(std::int64_t ranks, std::int64_t sequences, std::int64_t size) {
  MicroBatches result;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    const Order order = MicroBatchOrder(sequences / ranks, size);
    for (std::size_t begin = 0; begin < order.size(); begin += static_cast<std::size_t>(size)) {
      Order micro_batch;
      for (std::int64_t i = 0; i < size; ++i) {
        micro_batch.push_back(rank + ranks * order[begin + static_cast<std::size_t>(i)]);
      }
      result.insert(micro_batch);
    }
  }
  return result;
}

TEST(MicroBatchOrder, GivesTheSameMicroBatchesWhateverTheNumberOfRanks) {
  for (const std::int64_t size : {1, 2, 3, 5}) {
    const std::int64_t sequences = 12 * size;
    const MicroBatches of_one = OfAllRanks(1, sequences, size);
    ASSERT_EQ(of_one.size(), 12u);
    for (const std::int64_t ranks : {2, 3, 4, 6, 12}) EXPECT_EQ(OfAllRanks(ranks, sequences, size), of_one) << ranks;
  }
}

TEST(InMicroBatchOrder, MovesAllThatASequenceHas) {
  const Batch batch = {.sequence_length = 2,
                       .epoch = 3,
                       .indices = {10, 11, 12, 13},
                       .input_ids = {0, 1, 10, 11, 20, 21, 30, 31},
                       .label_mask = {0, 0, 0, 1, 1, 0, 1, 1},
                       .documents = {0, 1, 0, 0, 0, 1, 0, 0},
                       .instance_mask = {1, 0, 1, 1},
                       .labels = {5, 6, 7, 8}};
  const Batch moved = InMicroBatchOrder(batch, 2);
  EXPECT_EQ(moved.sequence_length, 2);
  EXPECT_EQ(moved.epoch, 3);
  EXPECT_EQ(moved.indices, (std::vector<std::int64_t>{10, 12, 11, 13}));
  EXPECT_EQ(moved.input_ids, (std::vector<std::int32_t>{0, 1, 20, 21, 10, 11, 30, 31}));
  EXPECT_EQ(moved.label_mask, (std::vector<std::uint8_t>{0, 0, 1, 0, 0, 1, 1, 1}));
  EXPECT_EQ(moved.documents, (std::vector<std::int32_t>{0, 1, 0, 1, 0, 0, 0, 0}));
  EXPECT_EQ(moved.instance_mask, (std::vector<std::uint8_t>{1, 1, 0, 1}));
  EXPECT_EQ(moved.labels, (std::vector<std::int32_t>{5, 7, 6, 8}));
}

TEST(InMicroBatchOrder, LeavesFieldsEmptyThatAre) {
  Batch batch;
  batch.sequence_length = 1;
  batch.indices = {4, 5, 6, 7};
  batch.input_ids = {1, 2, 3, 4};
  const Batch moved = InMicroBatchOrder(batch, 2);
  EXPECT_EQ(moved.input_ids, (std::vector<std::int32_t>{1, 3, 2, 4}));
  EXPECT_TRUE(moved.label_mask.empty());
  EXPECT_TRUE(moved.documents.empty());
  EXPECT_TRUE(moved.instance_mask.empty());
}

}  // namespace
}  // namespace coat
