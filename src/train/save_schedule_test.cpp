#include "train/save_schedule.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

using Kinds = std::vector<SaveKind>;
using Names = std::vector<std::string>;

TrainerState StateAtNine(const Names& checkpoints = {}, const Names& unsharded = {}) {
  TrainerState state;
  state.step = 9;
  state.checkpoints = checkpoints;
  state.unsharded_checkpoints = unsharded;
  return state;
}

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
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({"step8"}), false), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({"step9"}), false), Kinds());
  config.save_interval_unsharded = 1000;
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({"step9"}), false), Kinds({SaveKind::kUnsharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({}, {"step9-unsharded"}), false), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({"step9"}, {"step9-unsharded"}), false), Kinds());
}

TEST(SaveSchedule, LosesNothingToASignal) {
  TrainConfig config;
  config.save_num_checkpoints_to_keep = 0;
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine(), false), Kinds());
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine(), true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({}, {"step9-unsharded"}), true), Kinds());
  config.save_interval_unsharded = 100;
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine(), true), Kinds({SaveKind::kUnsharded})) << "sharded ones are not kept";
}

TEST(SaveSchedule, AfterASignalLatestIsTheLastStep) {
  TrainConfig config;
  config.save_interval_unsharded = 100;
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine(), true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({}, {"step9-unsharded"}), true), Kinds({SaveKind::kSharded}));
  EXPECT_EQ(SavesAtTheEnd(config, StateAtNine({"step9"}), true), Kinds());
}

TEST(SaveSchedule, CountsAnEphemeralCheckpointAsSaved) {
  TrainerState state;
  state.step = 6;
  state.checkpoints = {"step4"};
  state.ephemeral_checkpoints = {"step6"};
  state.unsharded_checkpoints = {"step5-unsharded"};
  TrainConfig config;
  EXPECT_EQ(SavesAtTheEnd(config, state, false), Kinds());
  EXPECT_EQ(LastSaved(state), 6);
  config.save_interval_unsharded = 5;
  EXPECT_EQ(SavesAtTheEnd(config, state, false), Kinds({SaveKind::kUnsharded}));
}

TEST(SaveSchedule, MakesUpAtTheStartForAnUnshardedCheckpointThatAKillPrevented) {
  TrainConfig config;
  TrainerState state;
  state.step = 6;
  state.checkpoints = {"step6"};
  EXPECT_FALSE(UnshardedIsDueAtStart(config, state, true));
  config.save_interval_unsharded = 3;
  EXPECT_TRUE(UnshardedIsDueAtStart(config, state, true));
  EXPECT_FALSE(UnshardedIsDueAtStart(config, state, false)) << "another run's checkpoint";
  config.dry_run = true;
  EXPECT_FALSE(UnshardedIsDueAtStart(config, state, true));
  config.force_save_unsharded = true;
  EXPECT_TRUE(UnshardedIsDueAtStart(config, state, false));
  state.unsharded_checkpoints = {"step6-unsharded"};
  EXPECT_FALSE(UnshardedIsDueAtStart(config, state, true)) << "it is there";
}

TEST(SaveSchedule, KnowsTheEndOfAFinishedRun) {
  TrainConfig config;
  TrainerState state;
  state.step = 6;
  state.checkpoints = {"step5"};
  EXPECT_FALSE(EndIsSaved(config, state));
  state.checkpoints = {"step6"};
  EXPECT_TRUE(EndIsSaved(config, state));
  config.save_interval_unsharded = 4;
  EXPECT_FALSE(EndIsSaved(config, state)) << "killed before the unsharded one";
  state.unsharded_checkpoints = {"step6-unsharded"};
  EXPECT_TRUE(EndIsSaved(config, state));
}

}  // namespace
}  // namespace coat
