// Which checkpoints whole runs of the `coat` command leave: each key of OLMo's that decides it.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include <filesystem>
#include <map>
#include <set>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

class Saves : public TinyRun {
 protected:
  /// The names in a save folder that begin with "step" or are links.
  Names Checkpoints(const std::string& save) const {
    Names names;
    for (const auto& entry : fs::directory_iterator(Save(save))) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("step", 0) == 0) names.insert(name);
      if (entry.is_symlink()) names.insert(name + " -> " + fs::read_symlink(entry.path()).string());
    }
    return names;
  }

  static std::vector<std::string> Joined(std::vector<std::string> some, const std::vector<std::string>& others) {
    some.insert(some.end(), others.begin(), others.end());
    return some;
  }

  void Run(const std::string& save, const std::vector<std::string>& overrides) const {
    const Outcome outcome = RunCoat(Train(save, overrides));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
};

TEST_F(Saves, KeepTheLatestEphemeralOneUntilAKeptOneComes) {
  Run("run", {"--save_interval=8", "--save_interval_ephemeral=2", "--stop_at=6", "--save_num_checkpoints_to_keep=-1"});
  EXPECT_EQ(Checkpoints("run"), Names({"step0", "step6", "latest -> step6"}));
  Run("run", {"--save_interval=8", "--save_interval_ephemeral=2", "--stop_at=7", "--save_num_checkpoints_to_keep=-1",
              "--try_load_latest_save"});
  EXPECT_EQ(Checkpoints("run"), Names({"step0", "step7", "latest -> step7"}));
  Run("run", {"--save_interval=8", "--save_interval_ephemeral=2", "--stop_at=10", "--save_num_checkpoints_to_keep=-1",
              "--try_load_latest_save"});
  EXPECT_EQ(Checkpoints("run"), Names({"step0", "step7", "step8", "step10", "latest -> step10"}));
}

TEST_F(Saves, GoOnBitForBitFromAnEphemeralOne) {
  Run("whole", {});
  Run("parts", {"--save_interval=null", "--save_interval_ephemeral=3", "--stop_at=6"});
  EXPECT_EQ(CheckpointReader(Save("parts/step6")).state().ephemeral_checkpoints.back(), "step6");
  Run("parts", {"--try_load_latest_save"});
  EXPECT_EQ(Tensors("whole", "step12"), Tensors("parts", "step12"));
}

TEST_F(Saves, FinishWhatAKillHasLeftUndone) {
  Run("run", {"--save_interval=null", "--save_interval_unsharded=3", "--stop_at=6"});
  // As a kill leaves them when checkpoints have just got their names.
  const auto lead = [&](const std::string& link, const std::string& target) {
    fs::remove(Save("run/" + link));
    fs::create_symlink(target, Save("run/" + link));
  };
  lead("latest", "step0");
  lead("latest-unsharded", "step3-unsharded");
  Run("run", {"--save_interval=null", "--save_interval_unsharded=3", "--stop_at=6", "--try_load_latest_save",
              "--save_num_unsharded_checkpoints_to_keep=1"});
  EXPECT_EQ(Checkpoints("run"),
            Names({"step0", "step6", "step6-unsharded", "latest -> step6", "latest-unsharded -> step6-unsharded"}));
}

TEST_F(Saves, ReplaceOneThatIsNotWholeAndWasPassedOver) {
  Run("run", {"--save_interval=2", "--stop_at=4"});
  fs::remove(Save("run/step4/config.yaml"));
  Run("run", {"--save_interval=2", "--stop_at=6", "--try_load_latest_save"});
  EXPECT_TRUE(IsWholeCheckpoint(Save("run/step4")));
  EXPECT_EQ(fs::read_symlink(Save("run/latest")), "step6");
}

TEST_F(Saves, KeepAsManyUnshardedOnesAsAreAskedFor) {
  Run("run", {"--save_interval=null", "--save_interval_unsharded=3", "--save_num_unsharded_checkpoints_to_keep=2"});
  EXPECT_EQ(Checkpoints("run"), Names({"step0", "step9-unsharded", "step12-unsharded", "step12", "latest -> step12",
                                       "latest-unsharded -> step12-unsharded"}));
  EXPECT_EQ(Tensors("run", "step12"), Tensors("run", "step12-unsharded"));
  Run("all", {"--save_interval=null", "--save_interval_unsharded=5", "--save_num_checkpoints_to_keep=0"});
  EXPECT_EQ(Checkpoints("all"), Names({"step0-unsharded", "step5-unsharded", "step10-unsharded", "step12-unsharded",
                                       "latest-unsharded -> step12-unsharded"}));
}

TEST_F(Saves, AreNotMadeAgainWhereNothingIsLeftToTrain) {
  const std::vector<std::string> options = {"--save_interval=null", "--save_interval_unsharded=5"};
  Run("run", options);
  const Names saved = Checkpoints("run");
  EXPECT_EQ(saved.count("step12-unsharded"), 1u);
  Run("run", Joined(options, {"--try_load_latest_save"}));
  EXPECT_EQ(Checkpoints("run"), saved);
  Run("run", Joined(options, {"--load_path=" + Save("run/step12-unsharded")}));
  EXPECT_EQ(Checkpoints("run"), saved);
  Run("both", {"--save_interval_unsharded=5"});
  fs::remove_all(Save("both/step12-unsharded"));  // as one killed between the two
  Run("both", {"--save_interval_unsharded=5", "--try_load_latest_save"});
  EXPECT_EQ(Checkpoints("both").count("step12-unsharded"), 1u);
  Run("other", Joined(options, {"--load_path=" + Save("run/step12-unsharded")}));
  EXPECT_EQ(Checkpoints("other").count("step12-unsharded"), 1u) << "in a folder that does not have it";
}

TEST_F(Saves, GoOnBitForBitFromAnUnshardedOne) {
  Run("whole", {});
  const std::vector<std::string> unsharded = {"--save_num_checkpoints_to_keep=0", "--save_interval_unsharded=100"};
  std::vector<std::string> first = unsharded;
  first.push_back("--stop_at=7");
  Run("parts", first);
  std::vector<std::string> rest = unsharded;
  rest.push_back("--try_load_latest_save");
  Run("parts", rest);
  EXPECT_EQ(Tensors("whole", "step12"), Tensors("parts", "step12-unsharded"));
}

TEST_F(Saves, OfBothKindsAtOneStepAreKnownToTheRunThatGoesOn) {
  const std::vector<std::string> both = {"--save_interval_unsharded=4", "--save_num_checkpoints_to_keep=1",
                                         "--save_num_unsharded_checkpoints_to_keep=1"};
  const auto until = [&](const std::string& stop) {
    std::vector<std::string> options = both;
    options.insert(options.end(), {"--try_load_latest_save", stop});
    return options;
  };
  Run("whole", both);
  for (const char* const stop : {"--stop_at=4", "--stop_at=4", "--stop_at=8", "--stop_at=12", "--stop_at=12"}) {
    Run("parts", until(stop));
  }
  EXPECT_EQ(Checkpoints("whole"),
            Names({"step12", "step12-unsharded", "latest -> step12", "latest-unsharded -> step12-unsharded"}));
  EXPECT_EQ(Checkpoints("parts"), Checkpoints("whole"));

  // Killed between the two.
  Run("killed", until("--stop_at=8"));
  fs::remove_all(Save("killed/step8-unsharded"));
  fs::remove(Save("killed/latest-unsharded"));
  Run("killed", until("--stop_at=8"));
  EXPECT_EQ(Checkpoints("killed"),
            Names({"step8", "step8-unsharded", "latest -> step8", "latest-unsharded -> step8-unsharded"}));
  EXPECT_EQ(Tensors("killed", "step8"), Tensors("killed", "step8-unsharded"));
}

TEST_F(Saves, OfARunThatStartsOverInItsFolderAreGoneOnFrom) {
  Run("run", {"--stop_at=8"});
  Run("run", {"--load_path=" + Save("run/step8"), "--reset_trainer_state", "--save_overwrite", "--stop_at=2"});
  EXPECT_EQ(*FindLatestCheckpoint(Save("run")).path, Save("run/step2"));
  EXPECT_EQ(MetricsOf("run").size(), 2u);
}

TEST_F(Saves, OfAnEarlierRunHaveItsRecordsUntilANewOneIsMade) {
  const auto is_kept = [&] { return fs::exists(Save("run/records-before-run1")); };
  const auto go_on = [&](const std::string& save) {
    Run(save, {"--try_load_latest_save", "--stop_at=10"});
    return folder_.Read(save + "/data-indices/rank0.tsv.gz");
  };
  Run("run", {"--stop_at=8"});
  fs::copy(Save("run"), Save("whole"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const std::vector<std::string> by_mistake = {"--save_overwrite", "--no_pre_train_checkpoint",
                                               "--save_num_checkpoints_to_keep=0", "--data.seed=7"};
  for (const char* const stop : {"--stop_at=5", "--stop_at=3"}) {
    const Outcome outcome = RunCoat(Train("run", Joined(by_mistake, {stop})));
    ExpectParts(outcome.out, {"earlier run are kept in " + Save("run/records-before-run1")});
  }
  EXPECT_EQ(MetricsOf("run").size(), 3u);
  EXPECT_TRUE(is_kept());
  Run("run", {"--force_save_unsharded", "--dry_run", "--load_path=" + Save("run/step8")});
  EXPECT_TRUE(is_kept()) << "a dry run is no new run";
  EXPECT_EQ(go_on("run"), go_on("whole"));
  EXPECT_EQ(MetricsOf("run"), MetricsOf("whole"));
  EXPECT_FALSE(is_kept());

  Run("run", Joined(by_mistake, {"--load_path=" + Save("run/step8"), "--stop_at=9"}));  // goes back: cuts lines off
  EXPECT_EQ(MetricsOf("run").size(), 9u);
  EXPECT_EQ(go_on("run"), go_on("whole"));
  EXPECT_EQ(MetricsOf("run"), MetricsOf("whole"));

  Run("run", {"--save_overwrite", "--save_num_checkpoints_to_keep=0", "--stop_at=1"});  // as one killed behind step 0
  EXPECT_TRUE(fs::exists(Save("run/step0-unsharded")));
  EXPECT_TRUE(is_kept());
  fs::copy(Save("run"), Save("chosen"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  Run("chosen", {"--load_path=" + Save("chosen/step8"), "--save_overwrite", "--stop_at=10"});
  EXPECT_EQ(MetricsOf("chosen"), MetricsOf("whole")) << "of the run that goes on, whichever is the latest";
  fs::remove_all(Save("run/step0-unsharded"));
  fs::create_directory(Save("run/records-before-run1-tmp"));  // of a kill while a copy was removed
  EXPECT_EQ(go_on("run"), go_on("whole"));
  EXPECT_EQ(MetricsOf("run"), MetricsOf("whole"));

  Run("run", {"--save_overwrite", "--stop_at=2"});
  EXPECT_EQ(MetricsOf("run").size(), 2u);
  EXPECT_FALSE(is_kept());
}

TEST_F(Saves, AtATimeLimitComeAfterTheMetricsOfTheirStep) {
  folder_.Write("failed/step3", "in the way of the checkpoint");
  ExpectFailure(
      RunCoat(Train("failed", {"--time_limit=1e-9", "--canceled_check_interval=3", "--no_pre_train_checkpoint"})), 1,
      {"step3"});
  EXPECT_EQ(MetricsOf("failed").size(), 3u);
}

TEST_F(Saves, AreNoneWhereNoneAreKept) {
  const Outcome none = RunCoat(Train("none", {"--save_num_checkpoints_to_keep=0", "--no_pre_train_checkpoint"}));
  ExpectParts(none.out, {"WARNING", "no checkpoint is saved at the end of the run", "save_num_checkpoints_to_keep: 0"});
  EXPECT_EQ(Checkpoints("none"), Names());
  Run("few", {"--no_pre_train_checkpoint", "--save_interval=5", "--save_num_checkpoints_to_keep=-1"});
  EXPECT_EQ(Checkpoints("few"), Names({"step5", "step10", "step12", "latest -> step12"}));
}

TEST_F(Saves, LeaveNoFolderWhereTheRunDidNotBegin) {
  ExpectFailure(RunCoat(Train("failed", {"--load_path=" + Save("none")})), 1, {Save("none") + " is not a checkpoint"});
  EXPECT_FALSE(fs::exists(Save("failed")));
}

TEST_F(Saves, ComeAtASignalEvenWhereNoneAreKept) {
  CoatProcess process(
      Train("signal", {"--max_duration=1000000", "--save_num_checkpoints_to_keep=0", "--no_pre_train_checkpoint"}));
  process.AwaitOutput("[step=2/");
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait().exit_code, 3);
  EXPECT_TRUE(FindLatestCheckpoint(Save("signal")).path);
}

TEST_F(Saves, KeepThatAnEvaluationIsDue) {
  const std::vector<std::string> options = {"--max_duration=1000000", "--eval_interval=1", "--no_pre_train_checkpoint",
                                            "--eval_subset_num_batches=1", "--global_train_batch_size=32"};
  CoatProcess process(Train("due", options));
  process.AwaitOutput("[step=2/");
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait().exit_code, 3);
  std::vector<std::string> rest = options;
  rest.insert(rest.end(), {"--try_load_latest_save", "--stop_after=2"});
  Run("due", rest);
  std::map<std::string, bool> evaluated;  // by "step":N
  for (const std::string& line : MetricsOf("due")) {
    evaluated[line.substr(0, line.find(','))] |= line.find("eval/") != std::string::npos;
  }
  EXPECT_GT(evaluated.size(), 3u);
  for (const auto& [step, is_evaluated] : evaluated) EXPECT_TRUE(is_evaluated) << step;
}

TEST_F(Saves, AtATimeLimitKeepThatAnEvaluationIsDue) {
  const std::vector<std::string> options = {"--eval_interval=4", "--canceled_check_interval=4"};
  std::vector<std::string> first = options;
  first.insert(first.end(), {"--time_limit=1e-9", "--extra_steps_after_cancel=0"});
  EXPECT_EQ(RunCoat(Train("due", first)).exit_code, 3);
  std::vector<std::string> rest = options;
  rest.push_back("--try_load_latest_save");
  for (int i = 0; i < 3; ++i) Run("due", Joined(rest, {"--stop_at=4"}));  // as one that is stopped again behind it
  Run("due", rest);
  Run("whole", options);
  const auto evaluated = [&](const std::string& save) {
    std::multiset<std::string> steps;
    for (const std::string& line : MetricsOf(save)) {
      if (line.find("eval/") != std::string::npos) steps.insert(line.substr(0, line.find(',')));
    }
    return steps;
  };
  EXPECT_EQ(evaluated("whole").size(), 3u);
  EXPECT_EQ(evaluated("due"), evaluated("whole"));
}

TEST_F(Saves, DoNotMakeEvalOnLoadRepeatWhatIsRecorded) {
  Run("run", {"--stop_at=5"});
  const std::vector<std::string> metrics = MetricsOf("run");
  const std::vector<std::string> again = {"--eval_on_load", "--try_load_latest_save", "--stop_at=5"};
  for (int i = 0; i < 2; ++i) {
    const Outcome outcome = RunCoat(Train("run", again));
    ExpectParts(outcome.out, {"eval/held-out/CrossEntropyLoss="});
    EXPECT_EQ(MetricsOf("run"), metrics);
  }
  const std::string evaluators =
      "--evaluators=[{label: held-out, data: {paths: [" + data_ + "]}}, {label: new, data: {paths: [" + data_ + "]}}]";
  for (int i = 0; i < 2; ++i) {
    Run("run", Joined(again, {evaluators}));
    ASSERT_EQ(MetricsOf("run").size(), metrics.size() + 1);
    ExpectParts(MetricsOf("run").back(), {"\"step\":5,", "\"eval/new/CrossEntropyLoss\":"});
    EXPECT_EQ(MetricsOf("run").back().find("held-out"), std::string::npos);
  }
}

TEST_F(Saves, ForceAnUnshardedOneEvenInADryRun) {
  Run("run", {"--stop_at=4"});
  Run("run", {"--load_path=" + Save("run/step4"), "--force_save_unsharded", "--dry_run"});
  EXPECT_EQ(Checkpoints("run"),
            Names({"step0", "step4", "latest -> step4", "step4-unsharded", "latest-unsharded -> step4-unsharded"}));
  EXPECT_EQ(Tensors("run", "step4"), Tensors("run", "step4-unsharded"));
  EXPECT_EQ(MetricsOf("run").size(), 4u);
  Run("run", {"--try_load_latest_save", "--force_save_unsharded", "--dry_run"});  // it is there already
  Run("run", {"--force_save_unsharded", "--dry_run"});                            // of a new run, which has not begun
  EXPECT_EQ(*FindLatestCheckpoint(Save("run")).path, Save("run/step4"));
  Run("none", {"--save_num_checkpoints_to_keep=0", "--force_save_unsharded", "--stop_after=1"});
  Run("other", {"--load_path=" + Save("run/step4"), "--force_save_unsharded", "--stop_after=1"});
  EXPECT_EQ(Checkpoints("other"),
            Names({"step4-unsharded", "latest-unsharded -> step4-unsharded", "step5", "latest -> step5"}));
}

TEST_F(Saves, AreNotMadeInAnotherFolderThanThatOfTheRun) {
  for (const bool is_replaced : {false, true}) {
    const std::string run = is_replaced ? "replaced" : "moved";
    CoatProcess process(Train(run, {"--max_duration=1000000", "--save_interval=5", "--evaluators=[]"}));
    process.AwaitOutput("/step5\n");
    const std::string away = Save(run + "-away");
    if (is_replaced) fs::create_directory(away);
    // In one step, for the run looks all the time.
    ASSERT_EQ(::renameat2(AT_FDCWD, Save(run).c_str(), AT_FDCWD, away.c_str(), is_replaced ? RENAME_EXCHANGE : 0), 0);
    ExpectFailure(process.Wait(), 1,
                  {"error: save_folder: " + Save(run) + " was moved or removed while the run went on: ",
                   is_replaced ? "another folder is there now" : "there is nothing now", "The run is at step ",
                   "nothing after the checkpoint of step ", "--try_load_latest_save"});
    EXPECT_EQ(fs::exists(Save(run)), is_replaced);
    EXPECT_TRUE(!is_replaced || fs::is_empty(Save(run)));
    fs::remove(Save(run));
    fs::rename(away, Save(run));
    Run(run, {"--max_duration=1000000", "--try_load_latest_save", "--stop_after=1", "--evaluators=[]"});
  }
  CoatProcess process(Train(
      "removed", {"--max_duration=1000000", "--save_interval=null", "--evaluators=[]", "--no_pre_train_checkpoint"}));
  process.AwaitOutput("[step=2/");
  fs::remove_all(Save("removed"));
  ExpectFailure(process.Wait(), 1, {"there is nothing now", "has saved no checkpoint"});
  EXPECT_FALSE(fs::exists(Save("removed")));
}

TEST_F(Saves, EndWithTheCancellation) {
  const Outcome outcome =
      RunCoat(Train("late", {"--time_limit=1e-9", "--canceled_check_interval=5", "--extra_steps_after_cancel=4",
                             "--save_interval=2", "--save_interval_unsharded=6", "--save_num_checkpoints_to_keep=-1"}));
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_EQ(Checkpoints("late"), Names({"step0", "step2", "step4", "step5", "latest -> step5"}));
  EXPECT_EQ(MetricsOf("late").size(), 9u);
}

}  // namespace
}  // namespace coat
