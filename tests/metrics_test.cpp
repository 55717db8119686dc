// What a run records of its metrics, as the programs read it that show it.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/python.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

class MetricsOfARun : public TinyRun {
 protected:
  /// Expects that TensorBoard reads in the run's folder what metrics.jsonl holds.
  void ExpectSameInTensorBoard(const std::string& run) const {
    const PythonOutcome outcome =
        RunPython("tests/tensorboard_events.py", {run + "/tensorboard", run + "/metrics.jsonl"});
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }

  Outcome RunWith(const std::vector<std::string>& overrides = {}) const { return RunCoat(Train("run", overrides)); }

  const std::string run_ = Save("run");
};

TEST_F(MetricsOfARun, AreTheSameInTensorBoard) {
  const Outcome outcome = RunWith();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectSameInTensorBoard(run_);
}

TEST_F(MetricsOfARun, AreTheSameInTensorBoardAfterAnInterruption) {
  ASSERT_EQ(RunWith({"--stop_at=7", "--save_num_checkpoints_to_keep=-1"}).exit_code, 0);
  std::filesystem::remove_all(run_ + "/step7");  // as if killed in step 8: the newest checkpoint is that of step 4
  const Outcome outcome = RunWith({"--try_load_latest_save", "--eval_on_load"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"Loaded " + run_ + "/step4"});
  EXPECT_EQ(NamesIn(run_ + "/tensorboard").size(), 2u);
  ExpectSameInTensorBoard(run_);
}

TEST_F(MetricsOfARun, ReplaceThoseOfAnEarlierOneInTensorBoard) {
  ASSERT_EQ(RunWith().exit_code, 0);
  ASSERT_EQ(RunWith({"--save_overwrite", "--max_duration=6", "--seed=2"}).exit_code, 0);
  EXPECT_EQ(NamesIn(run_ + "/tensorboard").size(), 1u);
  ExpectSameInTensorBoard(run_);
}

TEST_F(MetricsOfARun, AreNotWrittenForTensorBoardWhenItIsOff) {
  ASSERT_EQ(RunWith({"--tensorboard=false"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(run_ + "/tensorboard"));
}

TEST_F(MetricsOfARun, AreImportedToWeightsAndBiases) {
  const Outcome outcome =
      RunWith({"--wandb={project: p, entity: null, group: g, name: n, tags: [a, b], log_interval: 2}"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"wandb: nothing is sent while training; scripts/import_to_wandb.py " + run_});
  const PythonOutcome imported = RunPython("tests/wandb_history.py", {run_, "p", "g", "n", "2"});
  if (imported.exit_code == kPythonSkips) GTEST_SKIP() << imported.output;
  EXPECT_EQ(imported.exit_code, 0) << imported.output;
}

TEST_F(MetricsOfARun, AreNotImportedWhenTheyAreBroken) {
  const auto import = [&] { return RunPython("scripts/import_to_wandb.py", {"--offline", run_}); };
  PythonOutcome outcome = import();
  if (outcome.output.find("No module named") != std::string::npos) GTEST_SKIP() << outcome.output;
  ExpectParts(outcome.output, {run_ + "/config.yaml", "expected a folder in which `coat train` has saved"});
  folder_.Write("run/config.yaml", "run_name: x\n");
  ExpectParts(import().output, {run_ + "/metrics.jsonl"});
  folder_.Write("run/metrics.jsonl", "{\"step\":1,\"a\":2}\n{\"step\":2,\"a\":\n{\"step\":3}\n");
  ExpectParts(import().output, {run_ + "/metrics.jsonl:2: is not a line of metrics"});
  folder_.Write("run/metrics.jsonl", "{\"step\":1,\"a\":2}\n");
  outcome = import();
  EXPECT_EQ(outcome.exit_code, 1);
  ExpectParts(outcome.output, {"has no wandb.project; accepted: --project NAME"});
}

}  // namespace
}  // namespace coat
