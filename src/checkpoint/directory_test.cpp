#include "checkpoint/directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <set>
#include <string>

#include "checkpoint/checkpoint_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/one_rank.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

void MakeCheckpoint(const TempDir& folder, const std::string& name) {
  folder.Write(name + "/train.json", "{}");
  folder.Write(name + "/config.yaml", "");
}

TEST(CheckpointName, SpellsAndReadsBothKinds) {
  for (const CheckpointKind kind : {CheckpointKind::kSharded, CheckpointKind::kUnsharded}) {
    for (const std::int64_t step : {std::int64_t{0}, std::int64_t{738020}, std::numeric_limits<std::int64_t>::max()}) {
      const CheckpointName name = {.step = step, .kind = kind};
      EXPECT_EQ(ParseCheckpointName(name.text()), name);
    }
  }
  EXPECT_EQ((CheckpointName{.step = 10}).text(), "step10");
  EXPECT_EQ((CheckpointName{.step = 10, .kind = CheckpointKind::kUnsharded}).text(), "step10-unsharded");
  EXPECT_EQ(ParseCheckpointName("step0010"), CheckpointName{.step = 10});
}

TEST(CheckpointName, IsNothingElse) {
  for (const char* const text : {"", "step", "step-1", "step+1", "step 1", "step1 ", "step1-tmp", "step1-unsharded-tmp",
                                 "Step1", "step1.0", "step0x1", "step1-unsharded-unsharded", "step-unsharded", "astep1",
                                 "step1/", "step9223372036854775808", "latest"}) {
    EXPECT_EQ(ParseCheckpointName(text), std::nullopt) << text;
  }
}

TEST(FindLatestCheckpoint, TakesTheHighestStepAsANumber) {
  const TempDir folder;
  for (const char* const name : {"step9", "step10", "step100", "step99", "step200-tmp", "stepfinal", "checkpoint900"}) {
    MakeCheckpoint(folder, name);
  }
  folder.Write("step900", "a file");
  const LatestCheckpoint latest = FindLatestCheckpoint(folder.path());
  EXPECT_EQ(latest.path, folder.File("step100"));
  EXPECT_EQ(latest.incomplete, std::vector<std::string>{folder.File("step900")});
}

TEST(FindLatestCheckpoint, PrefersShardedOnlyOnTies) {
  const TempDir folder;
  MakeCheckpoint(folder, "step10-unsharded");
  MakeCheckpoint(folder, "step10");
  EXPECT_EQ(FindLatestCheckpoint(folder.path()).path, folder.File("step10"));
  MakeCheckpoint(folder, "step11-unsharded");
  EXPECT_EQ(FindLatestCheckpoint(folder.path()).path, folder.File("step11-unsharded"));
}

TEST(FindLatestCheckpoint, PassesOverIncompleteOnesAndNamesThem) {
  const TempDir folder;
  MakeCheckpoint(folder, "step1");
  folder.Write("step2/train.json", "{}");
  folder.Write("step3/config.yaml", "");
  fs::create_directory(folder.File("step4"));
  const LatestCheckpoint latest = FindLatestCheckpoint(folder.path());
  EXPECT_EQ(latest.path, folder.File("step1"));
  EXPECT_EQ(latest.incomplete,
            (std::vector<std::string>{folder.File("step4"), folder.File("step3"), folder.File("step2")}));
}

// A run that writes over an earlier one leaves that one's later checkpoints.
TEST(FindLatestCheckpoint, TakesTheLatestRun) {
  const TempDir folder;
  const auto save = [&](std::int64_t step, int run) {
    CheckpointWriter writer(folder.path(), {.step = step}, IfExists::kReplace, OneRank());
    TrainerState state;
    state.step = step;
    if (run > 0) state.extra.run_in_save_folder = run;
    writer.Commit(state, "");
  };
  for (const std::int64_t step : {10, 20, 30}) save(step, 0);
  EXPECT_EQ(FindLatestCheckpoint(folder.path()).run, 0);
  save(10, 1);
  save(15, 1);
  const LatestCheckpoint latest = FindLatestCheckpoint(folder.path());
  EXPECT_EQ(latest.path, folder.File("step15"));
  EXPECT_EQ(latest.run, 1);
  EXPECT_EQ(RunOf(folder.File("step30")), 0);
  // One that cannot be read may be the newest, and says itself what is wrong with it.
  folder.Write("step40/train.json", "{}");
  folder.Write("step40/config.yaml", "");
  EXPECT_EQ(FindLatestCheckpoint(folder.path()).path, folder.File("step40"));
  EXPECT_EQ(RunOf(folder.File("step40")), std::nullopt);
}

TEST(FindLatestCheckpoint, FindsNothingInNothing) {
  const TempDir folder;
  EXPECT_EQ(FindLatestCheckpoint(folder.path()).path, std::nullopt);
  EXPECT_EQ(FindLatestCheckpoint(folder.File("missing")).path, std::nullopt);
  const std::string file = folder.Write("file", "");
  ExpectParts(ErrorOf([&] { FindLatestCheckpoint(file); }), {file, "Not a directory"});
}

TEST(IsWholeCheckpoint, FollowsALinkToTheFolder) {
  const TempDir folder;
  MakeCheckpoint(folder, "step1");
  fs::create_directory_symlink("step1", folder.File("latest"));
  EXPECT_TRUE(IsWholeCheckpoint(folder.File("latest")));
  EXPECT_FALSE(IsWholeCheckpoint(folder.File("missing")));
  EXPECT_FALSE(IsWholeCheckpoint(folder.File("step1/train.json")));
}

TEST(PrepareSaveFolder, MakesTheFolderAndItsParents) {
  const TempDir folder;
  EXPECT_TRUE(PrepareSaveFolder(folder.File("runs/first")).empty());
  EXPECT_TRUE(fs::is_directory(folder.File("runs/first")));
}

TEST(PrepareSaveFolder, RefusesAFolderThatCannotBe) {
  const TempDir folder;
  const std::string below_file = folder.Write("file", "") + "/runs";
  ExpectParts(ErrorOf([&] { PrepareSaveFolder(below_file); }), {below_file, "Not a directory"});
  const std::string file = folder.File("file");
  ErrorOf([&] { PrepareSaveFolder(file); });
}

TEST(PrepareSaveFolder, ClearsOnlyWhatThisProgramLeaves) {
  const TempDir folder;
  for (const char* const name :
       {"step1", "step2-unsharded", "step3-tmp", "step4-unsharded-tmp", "step5-removed-tmp",
        "step6-unsharded-removed-tmp", "step7-replaced-tmp", "step8", "step8-replaced-tmp",
        // Somebody else's:
        "stepfinal-tmp", "my-step3-tmp", "step3-tmp2", "step3-other-tmp", "notes-tmp", "latest-tmp2"}) {
    MakeCheckpoint(folder, name);
  }
  folder.Write("step7-replaced-tmp/which", "the old one");
  fs::create_directory_symlink("step3", folder.File("latest-tmp"));
  MakeCheckpoint(folder, "latest-unsharded-tmp");  // not a link, so not ours
  folder.Write("config.yaml.partial-0a1b2c3d", "");
  folder.Write("config.yaml.partial-mine", "");

  const std::vector<std::string> done = PrepareSaveFolder(folder.path());
  EXPECT_EQ(NamesIn(folder.path()),
            (std::set<std::string>{"step1", "step2-unsharded", "step7", "step8", "stepfinal-tmp", "my-step3-tmp",
                                   "step3-tmp2", "step3-other-tmp", "notes-tmp", "latest-tmp2", "latest-unsharded-tmp",
                                   "config.yaml.partial-mine"}));
  EXPECT_EQ(folder.Read("step7/which"), "the old one");
  EXPECT_EQ(done.size(), 8u);
  EXPECT_TRUE(PrepareSaveFolder(folder.path()).empty());
}

TEST(RemoveCheckpoint, RemovesOneAndNothingElse) {
  const TempDir folder;
  MakeCheckpoint(folder, "step1");
  MakeCheckpoint(folder, "step2");
  folder.Write("step1/model/rank0/weights", "w");
  folder.Write("precious", "data");
  fs::create_symlink(folder.File("precious"), folder.File("step1/link"));
  fs::create_directory_symlink(folder.File("step2"), folder.File("step1/folder-link"));
  RemoveCheckpoint(folder.path(), "step1");
  RemoveCheckpoint(folder.path(), "step1");  // missing is fine
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"step2", "precious"}));
  EXPECT_TRUE(IsWholeCheckpoint(folder.File("step2")));
  EXPECT_EQ(folder.Read("precious"), "data");
}

TEST(RemoveCheckpoint, RefusesNamesThatAreNotCheckpoints) {
  const TempDir folder;
  MakeCheckpoint(folder, "data");
  for (const char* const name : {"data", "", ".", "..", "../data", "step1/../data", "/home", "step1-tmp"}) {
    ErrorOf<ArgumentError>([&] { RemoveCheckpoint(folder.path(), name); });
  }
  EXPECT_TRUE(IsWholeCheckpoint(folder.File("data")));
}

TEST(ApplyRetention, KeepsTheNewestOfTheList) {
  const TempDir folder;
  std::vector<std::string> names;
  for (const char* const name : {"step5", "step10", "step15", "step20"}) {
    MakeCheckpoint(folder, name);
    names.emplace_back(name);
  }
  MakeCheckpoint(folder, "step1");  // not of this list
  ApplyRetention(folder.path(), names, -1);
  EXPECT_EQ(names.size(), 4u);
  ApplyRetention(folder.path(), names, 4);
  EXPECT_EQ(names.size(), 4u);
  ApplyRetention(folder.path(), names, 2);
  EXPECT_EQ(names, (std::vector<std::string>{"step15", "step20"}));
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"step1", "step15", "step20"}));
  ApplyRetention(folder.path(), names, 0);
  EXPECT_TRUE(names.empty());
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"step1"});
  ErrorOf<ArgumentError>([&] { ApplyRetention(folder.path(), names, -2); });
}

TEST(ExistingCheckpoints, DropsWhatIsGone) {
  const TempDir folder;
  MakeCheckpoint(folder, "step1");
  fs::create_directory(folder.File("step2"));
  MakeCheckpoint(folder, "other");
  EXPECT_EQ(ExistingCheckpoints(folder.path(), {"step1", "step2", "step3", "other"}),
            std::vector<std::string>{"step1"});
}

}  // namespace
}  // namespace coat
