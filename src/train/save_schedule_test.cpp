#include "train/save_schedule.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

using Kinds = std::vector<SaveKind>;

TEST(SaveSchedule, FollowsTheThreeIntervals) {
  TrainConfig config;
  config.save_interval = 4;
  config.save_interval_ephemeral = 2;
  config.save_interval_unsharded = 6;
  EXPECT_EQ(SavesDue(config, 1), Kinds());
  EXPECT_EQ(SavesDue(config, 2), Kinds({SaveKind::kEphemeral}));
  EXPECT_EQ(SavesDue(config, 4), Kinds({SaveKind::kSharded})) << "a kept checkpoint stands for the ephemeral one";
  EXPECT_EQ(SavesDue(config, 6), Kinds({SaveKind::kEphemeral, SaveKind::kUnsharded}));
  EXPECT_EQ(SavesDue(config, 12), Kinds({SaveKind::kSharded, SaveKind::kUnsharded}));
}

TEST(SaveSchedule, LeavesOutWhatIsNotKept) {
  TrainConfig config;
  config.save_interval = 4;
  config.save_num_checkpoints_to_keep = 0;
  config.save_interval_unsharded = 4;
  EXPECT_EQ(SavesDue(config, 4), Kinds({SaveKind::kUnsharded}));
  config.save_num_unsharded_checkpoints_to_keep = 0;
  EXPECT_EQ(SavesDue(config, 4), Kinds());
}

TEST(SaveSchedule, EndsWithACheckpointOfTheLastStep) {
  TrainConfig config;
  config.save_interval = std::nullopt;
  EXPECT_EQ(SavesDue(config, 4), Kinds());
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.sharded = 8}, false), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.sharded = 9}, false), Kinds());
  config.save_interval_unsharded = 1000;
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.sharded = 9}, false), Kinds({SaveKind::kUnsharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.unsharded = 9}, false), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.sharded = 9, .unsharded = 9}, false), Kinds());
}

TEST(SaveSchedule, LosesNothingToASignal) {
  TrainConfig config;
  config.save_num_checkpoints_to_keep = 0;
  EXPECT_EQ(SavesAtTheEnd(config, 9, {}, false), Kinds());
  EXPECT_EQ(SavesAtTheEnd(config, 9, {}, true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.unsharded = 9}, true), Kinds());
  config.save_interval_unsharded = 100;
  EXPECT_EQ(SavesAtTheEnd(config, 9, {}, true), Kinds({SaveKind::kUnsharded})) << "sharded ones are not kept";
}

TEST(SaveSchedule, AfterASignalLatestIsTheLastStep) {
  TrainConfig config;
  config.save_interval_unsharded = 100;
  EXPECT_EQ(SavesAtTheEnd(config, 9, {}, true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.unsharded = 9}, true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, 9, {.sharded = 9}, true), Kinds());
}

TEST(SaveSchedule, KnowsWhatAResumedRunHasSaved) {
  TrainerState state;
  state.step = 6;
  state.checkpoints = {"step4"};
  state.ephemeral_checkpoints = {"step6"};
  state.unsharded_checkpoints = {"step5-unsharded"};
  EXPECT_EQ(LastSavesOf(state).sharded, 6);
  EXPECT_EQ(LastSavesOf(state).unsharded, -1);
  state.unsharded_checkpoints = {"step6-unsharded"};
  EXPECT_EQ(LastSavesOf(state).unsharded, 6);
}

}  // namespace
}  // namespace coat
