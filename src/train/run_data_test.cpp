#include "train/run_data.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/one_rank.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

/// 10 sequences of 4 tokens, one a step.
class RunDataTest : public testing::Test {
 protected:
  RunDataTest() {
    config_.global_train_batch_size = 1;
    config_.model.max_sequence_length = 4;
  }

  const TempDir folder_;
  const MemMapDataset dataset_{{.paths = {folder_.Write("tokens", std::string(10 * 4 * 2, '\1'))},
                                .sequence_length = 4,
                                .vocab_size = 1000}};
  TrainConfig config_;
};

TEST_F(RunDataTest, CountsWhatTheStateHasSeen) {
  TrainerState state;
  RunData data(config_, dataset_, 0, OneRank(), state);
  EXPECT_EQ(data.batches_per_epoch(), 10);
  std::set<std::int64_t> seen;
  for (int step = 1; step <= 10; ++step) seen.insert(data.Next(state).indices.at(0));
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(state.step, 10);
  EXPECT_EQ(state.examples_seen, 10);
  EXPECT_EQ(state.tokens_seen, 40);
  EXPECT_EQ(state.examples_seen_this_epoch, 10);
  data.Next(state);
  EXPECT_EQ(state.epoch, 1);
  EXPECT_EQ(state.examples_seen_this_epoch, 1);
}

TEST_F(RunDataTest, GoesOnWhereTheStateIs) {
  TrainerState state, again;
  RunData data(config_, dataset_, 0, OneRank(), state);
  for (int step = 1; step <= 13; ++step) data.Next(state);
  again = state;
  RunData rest(config_, dataset_, 0, OneRank(), again);
  for (int step = 14; step <= 25; ++step) EXPECT_EQ(rest.Next(again).indices, data.Next(state).indices) << step;
  EXPECT_EQ(again.step, 25);
}

TEST_F(RunDataTest, KeepsThePlaceBehindBatchesThatAreLeftOut) {
  TrainerState state;
  const RunData data(config_, dataset_, 12, OneRank(), state);
  EXPECT_EQ(state.step, 0);
  EXPECT_EQ(state.epoch, 1);
  EXPECT_EQ(state.examples_seen_this_epoch, 2);
}

TEST_F(RunDataTest, BeginsTheNextEpochWhereMoreRanksHadFilledThisOneUp) {
  config_.data.drop_last = false;
  TrainerState state;
  state.world_size = 4;
  state.examples_seen_this_epoch = 12;  // ten and, for four ranks, two of them again
  RunData data(config_, dataset_, 0, OneRank(), state);
  data.Next(state);
  EXPECT_EQ(state.epoch, 1);
  EXPECT_EQ(state.examples_seen_this_epoch, 1);
}

}  // namespace
}  // namespace coat
