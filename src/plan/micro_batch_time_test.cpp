#include "plan/micro_batch_time.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

/// Three blocks, forward 10 and backward 20; embedding 1 and 1; head 5.
MicroBatchUnits Units(double gather, double reduce) {
  MicroBatchUnits units;
  units.embedding = {1, 1, gather, reduce};
  units.head = {5, 0, gather, reduce};
  units.blocks.assign(3, {10, 20, gather, reduce});
  return units;
}

constexpr double kCompute = 1 + 3 * 10 + 5 + 3 * 20 + 1;

TEST(MicroBatchTime, WithoutOthersIsTheSumOfTheLayers) {
  const MicroBatchTime time = TimeOf(Units(0, 0));
  EXPECT_EQ(time.total, kCompute);
  EXPECT_EQ(time.compute, kCompute);
  EXPECT_EQ(time.Exposed(), 0);
}

TEST(MicroBatchTime, WaitsForTheFirstWeightsAndTheLastGradients) {
  const MicroBatchTime time = TimeOf(Units(2, 3));
  // Embedding, three blocks, head; the last two blocks are still there for backward, the first is not.
  EXPECT_EQ(time.gather, 2 * (1 + 3 + 1 + 1));
  EXPECT_EQ(time.reduce, 3 * (1 + 3 + 1));
  // 2 for the embedding's weights, 1 for the first block's, which are on their way while the embedding takes 1. At the
  // end the sum of the first block's gradients takes 3, of which the embedding's backward hides 1, then its own
  // takes 3.
  EXPECT_EQ(time.Exposed(), 2 + 1 + 2 + 3);
}

TEST(MicroBatchTime, WaitsForWhatALayerCannotHide) {
  const MicroBatchTime time = TimeOf(Units(12, 0));
  // Forward: 12, then 12 a block while the one ahead takes 10 (the embedding: 1), and 12 for the head. In backward the
  // first block's weights are gathered while the second runs for 20.
  EXPECT_EQ(time.Exposed(), 12 + 11 + 2 + 2 + 2);
}

TEST(MicroBatchTime, ATiedHeadGathersNothingTwice) {
  MicroBatchUnits units = Units(2, 0);
  units.head_is_embedding = true;
  units.head.gather = 0;
  EXPECT_EQ(TimeOf(units).gather, 2 * (1 + 3 + 1));
}

TEST(MicroBatchTime, GradientsHaveTwoSetsOfBuffers) {
  // A sum takes as long as two and a half blocks: the third block's backward waits for the first one's sum.
  MicroBatchUnits units = Units(0, 0);
  for (UnitTime& block : units.blocks) block.reduce = 50;
  // Blocks end at 56 (36 + 20) and 76; the third waits from 76 to 106 and ends at 126; the sums end at 106, 156 and
  // 206.
  EXPECT_EQ(TimeOf(units).total, 206);
}

TEST(MicroBatchTime, OneBlockIsEnough) {
  MicroBatchUnits units = Units(1, 1);
  units.blocks.resize(1);
  EXPECT_EQ(TimeOf(units).gather, 3);
}

TEST(MicroBatchTime, NeverFallsWhenAGatherTakesLonger) {
  double last = 0;
  for (int gather = 0; gather < 40; ++gather) {
    const double total = TimeOf(Units(gather, 7)).total;
    EXPECT_GE(total, last);
    last = total;
  }
}

}  // namespace
}  // namespace coat
