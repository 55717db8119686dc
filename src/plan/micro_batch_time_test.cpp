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
  for (const PlaceInStep place : {PlaceInStep::kFirst, PlaceInStep::kLater}) {
    const MicroBatchTime time = TimeOf(Units(0, 0), place);
    EXPECT_EQ(time.total, kCompute);
    EXPECT_EQ(time.compute, kCompute);
    EXPECT_EQ(time.slowed, 0);
    EXPECT_EQ(time.Exposed(), 0);
  }
}

TEST(MicroBatchTime, WaitsForTheFirstWeights) {
  const MicroBatchTime time = TimeOf(Units(2, 3), PlaceInStep::kFirst);
  // Embedding, three blocks, head; the last two blocks are still there for backward, the first is not.
  EXPECT_EQ(time.gather, 2 * (1 + 3 + 1 + 1));
  // The head, the third and the second block; the others are left.
  EXPECT_EQ(time.reduce, 3 * (1 + 2));
  // 2 for the embedding's weights, 1 for the first block's, which are on their way while the embedding takes 1.
  EXPECT_EQ(time.Exposed(), 2 + 1);
}

TEST(MicroBatchTime, LaterInAStepFindsWeightsAndSumsWhatWasLeft) {
  const MicroBatchTime time = TimeOf(Units(2, 3), PlaceInStep::kLater);
  // Of the embedding, which took turns with the head, the third block, the head, and in backward the first block.
  EXPECT_EQ(time.gather, 2 * 4);
  EXPECT_EQ(time.reduce, 3 * (1 + 3 + 1));
  EXPECT_EQ(time.Exposed(), 2);
}

TEST(MicroBatchTime, WaitsForWhatALayerCannotHide) {
  const MicroBatchTime time = TimeOf(Units(12, 0), PlaceInStep::kFirst);
  // Forward: 12, then 12 a block while the one ahead takes 10 (the embedding: 1), and 12 for the head. In backward the
  // first block's weights are gathered while the second runs for 20.
  EXPECT_EQ(time.Exposed(), 12 + 11 + 2 + 2 + 2);
}

TEST(MicroBatchTime, ATiedHeadGathersNothingTwice) {
  MicroBatchUnits units = Units(2, 0);
  units.head_is_embedding = true;
  units.head.gather = 0;
  EXPECT_EQ(TimeOf(units, PlaceInStep::kFirst).gather, 2 * (1 + 3 + 1));
  EXPECT_EQ(TimeOf(units, PlaceInStep::kLater).gather, 2 * 2) << "the third block, and in backward the first";
}

TEST(MicroBatchTime, GradientsHaveTwoSetsOfBuffers) {
  // A sum takes as long as two and a half blocks: the first block's backward waits for the third one's sum.
  MicroBatchUnits units = Units(0, 0);
  for (UnitTime& block : units.blocks) block.reduce = 50;
  // Blocks end at 56 (36 + 20) and 76; the first waits from 76 to 106; the sums end at 106 and 156.
  EXPECT_EQ(TimeOf(units, PlaceInStep::kFirst).total, 156);
  // The third block's weights come behind what the first has left, at 50, so it ends at 60 and in backward at 85, the
  // second at 105. The first waits for the third's sum, which ends at 135. The second's ends at 185.
  EXPECT_EQ(TimeOf(units, PlaceInStep::kLater).total, 185);
}

TEST(MicroBatchTime, TheHeadWaitsForTheBufferOfTheEmbeddingsGradient) {
  MicroBatchUnits units = Units(0, 0);
  units.head_is_embedding = true;
  units.blocks.resize(2);  // all is gathered
  units.embedding.reduce = 100;
  EXPECT_EQ(TimeOf(units, PlaceInStep::kLater).Exposed(), 100 - (1 + 2 * 10));
}

TEST(MicroBatchTime, LayersAreSlowerBesideWhatIsExchanged) {
  MicroBatchUnits units = Units(2, 3);
  units.contention = 0.5;
  const MicroBatchTime time = TimeOf(units, PlaceInStep::kFirst);
  // Forward beside a gather of 2, backward beside 5, but no more than they take: the embedding 1 and 1.
  EXPECT_EQ(time.slowed, 0.5 * (1 + 3 * 2 + 2 + 3 * 5 + 1));
  EXPECT_EQ(time.compute, kCompute);
  EXPECT_EQ(time.total, time.compute + time.slowed + time.Exposed());
}

TEST(MicroBatchTime, OneBlockIsEnough) {
  MicroBatchUnits units = Units(1, 1);
  units.blocks.resize(1);
  EXPECT_EQ(TimeOf(units, PlaceInStep::kFirst).gather, 3);
  EXPECT_EQ(TimeOf(units, PlaceInStep::kLater).gather, 2) << "embedding and head";
}

TEST(MicroBatchTime, NeverFallsWhenAGatherTakesLonger) {
  for (const PlaceInStep place : {PlaceInStep::kFirst, PlaceInStep::kLater}) {
    double last = 0;
    for (int gather = 0; gather < 40; ++gather) {
      const double total = TimeOf(Units(gather, 7), place).total;
      EXPECT_GE(total, last);
      last = total;
    }
  }
}

}  // namespace
}  // namespace coat
