// Where in the data a whole run of the `coat` command goes on, by its record of data indices.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "checkpoint/checkpoint_reader.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

using Strings = std::vector<std::string>;

class TrainerData : public TinyRun {
 protected:
  static constexpr std::int64_t kBatch = 6;  // sequences of a step

  void Run(const std::string& save, const Strings& overrides) const {
    const Outcome outcome = RunCoat(Train(save, overrides));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// The recorded indices of each step of a run.
  std::map<int, std::string> Indices(const std::string& save) const {
    const std::string plain = Save(save + ".tsv");
    EXPECT_EQ(std::system(("zcat '" + Save(save) + "/data-indices/rank0.tsv.gz' > '" + plain + "'").c_str()), 0);
    std::map<int, std::string> indices;
    std::istringstream lines(folder_.Read(save + ".tsv"));
    for (std::string line; std::getline(lines, line);) {
      const std::size_t tab = line.find('\t');
      EXPECT_NE(tab, std::string::npos) << line;
      EXPECT_EQ(std::count(line.begin(), line.end(), '\t'), kBatch) << line;
      indices[std::stoi(line)] = line.substr(tab);
    }
    return indices;
  }

  TrainerState State(const std::string& checkpoint) const { return CheckpointReader(Save(checkpoint)).state(); }
};

TEST_F(TrainerData, SkipsBatchesOnceWhereACheckpointIsLoaded) {
  Run("whole", {"--stop_at=9", "--save_num_checkpoints_to_keep=-1"});
  const auto whole = Indices("whole");
  ASSERT_EQ(whole.size(), 9u);
  EXPECT_NE(whole.at(5), whole.at(6));

  const Strings skip = {"--load_path=" + Save("whole/step4"), "--fast_forward_batches=1"};
  const auto with = [](Strings overrides, const std::string& more) {
    overrides.push_back(more);
    return overrides;
  };
  Run("skip", with(skip, "--stop_after=1"));
  const auto skipped = Indices("skip");
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_EQ(skipped.at(5), whole.at(6));
  // What was left out is no training: the step trained on counts, the position in the epoch does not lie.
  const TrainerState state = State("skip/step5");
  EXPECT_EQ(state.examples_seen, 5 * kBatch);
  EXPECT_EQ(state.tokens_seen, 5 * kBatch * kLength);
  EXPECT_EQ(state.examples_seen_this_epoch, 6 * kBatch);

  // The run goes on after it, with the key still given, and skips nothing again.
  Run("skip", with(with(skip, "--try_load_latest_save"), "--stop_after=1"));
  EXPECT_EQ(Indices("skip").at(6), whole.at(7));

  Run("more", {"--load_path=" + Save("whole/step4"), "--fast_forward_batches=3", "--stop_after=2"});
  EXPECT_EQ(Indices("more").at(5), whole.at(8));
  EXPECT_EQ(Indices("more").at(6), whole.at(9));
}

TEST_F(TrainerData, SkipsBatchesAlsoWhereItStopsBeforeItsFirstStep) {
  Run("whole", {"--stop_at=6"});
  const Strings skip = {"--load_path=" + Save("whole/step4"), "--fast_forward_batches=1", "--try_load_latest_save"};
  Strings none = skip;
  none.push_back("--stop_at=4");
  Run("skip", none);
  Strings one = skip;
  one.push_back("--stop_at=5");
  Run("skip", one);
  EXPECT_EQ(Indices("skip").at(5), Indices("whole").at(6));
}

TEST_F(TrainerData, SaysThatItSkipsNothingWithoutACheckpoint) {
  const Outcome outcome = RunCoat(Train("run", {"--fast_forward_batches=3", "--stop_at=1"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"fast_forward_batches has no effect", "load_path"});
}

// Not at the first evaluation, which may be hours later and before the first checkpoint.
TEST_F(TrainerData, OfEvaluatorsIsCheckedBeforeTheFirstStep) {
  std::string tokens = folder_.Read("train.npy");
  tokens[(3 * kLength + 7) * 2] = static_cast<char>(kVocabulary);
  const std::string file = folder_.Write("held-out.npy", tokens);
  const std::string message = file + ": token 103 (byte 206) is 100; the vocabulary has 100 ids, 0 to 99";
  const Strings evaluators = {"--evaluators=[{label: good, data: {paths: [" + data_ +
                              "]}}, {label: bad, data: {paths: [" + file + "]}}]"};
  const Outcome outcome = RunCoat(Train("run", evaluators));
  ExpectFailure(outcome, 1, {message});
  EXPECT_EQ(outcome.out.find("[step="), std::string::npos) << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(Save("run/config.yaml")));

  Run("other", {"--max_duration=1", "--evaluators=[]"});
  const Outcome evaluated = RunCoat({"eval", Save("other/latest"), evaluators[0], "--device=cpu"});
  ExpectFailure(evaluated, 1, {message});
  EXPECT_EQ(evaluated.out.find("good"), std::string::npos) << evaluated.out;
}

TEST_F(TrainerData, OfEvaluatorsThatASubsetLeavesOutAreNamed) {
  const std::string evaluator = "{label: two, data: {datasets: {a: [" + data_ + "], b: [" + data_ + "]}}}";
  const auto output = [&](const char* subset) {
    const Outcome outcome = RunCoat(Train(subset, {"--evaluators=[" + evaluator + "]", "--device_eval_batch_size=1",
                                                   "--stop_at=1", std::string("--eval_subset_num_batches=") + subset}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string of_one = output("1");
  const std::string missing = of_one.find("eval/a/CrossEntropyLoss=") == std::string::npos ? "a" : "b";
  ExpectParts(of_one, {"WARNING", "'two' has no metrics of " + missing + ": ", "subset_num_batches"});
  EXPECT_EQ(output("-1").find("has no metrics"), std::string::npos);
}

TEST_F(TrainerData, SkipsBatchesOfTheNextEpochToo) {
  // 40 sequences: an epoch is 6 batches, so that the eighth is the second of epoch 1.
  Run("whole", {"--stop_at=8"});
  Run("skip", {"--load_path=" + Save("whole/step4"), "--fast_forward_batches=3", "--stop_after=1"});
  EXPECT_EQ(Indices("skip").at(5), Indices("whole").at(8));
  EXPECT_EQ(State("skip/step5").epoch, 1);
  EXPECT_EQ(State("skip/step5").examples_seen_this_epoch, 2 * kBatch);
}

TEST_F(TrainerData, StartsAnewWhereItIsNotRestored) {
  Run("whole", {"--stop_at=5"});
  const auto whole = Indices("whole");
  Run("anew", {"--load_path=" + Save("whole/step4"), "--restore_dataloader=false", "--stop_at=1"});
  const auto anew = Indices("anew");
  ASSERT_EQ(anew.size(), 1u);
  EXPECT_EQ(anew.at(1), whole.at(1));
  EXPECT_NE(anew.at(1), whole.at(5));
  EXPECT_EQ(State("anew/step1").tokens_seen, kBatch * kLength);

  // The model goes on from the checkpoint all the same: an update that changes nothing shows where it started.
  Run("still", {"--load_path=" + Save("whole/step4"), "--restore_dataloader=false", "--stop_at=1",
                "--optimizer.learning_rate=1e-30"});
  EXPECT_EQ(folder_.Read("still/step1/model.safetensors"), folder_.Read("whole/step4/model.safetensors"));

  Run("both",
      {"--load_path=" + Save("whole/step4"), "--restore_dataloader=false", "--fast_forward_batches=2", "--stop_at=1"});
  EXPECT_EQ(Indices("both").at(1), whole.at(3));

  Run("restored", {"--load_path=" + Save("whole/step4"), "--stop_after=1"});
  EXPECT_EQ(Indices("restored").at(5), whole.at(5));
}

}  // namespace
}  // namespace coat
