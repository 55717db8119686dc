// Whole runs of the `coat` command by several ranks: what one rank would have trained, recorded and said.

#include <signal.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "tests/support/rank_run.h"
#include "tests/support/source_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

const Strings kCoatBoth = {
    "--quantize_model.use_quantize_model=coat_real", "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw",
    "--quantize_optimizer.first_order_expansion=expansion", "--quantize_optimizer.second_order_expansion=expansion"};

class Distributed : public RankRun {
 protected:
  /// The values of a metric, in the order of the steps.
  std::vector<double> Numbers(const std::string& save, const std::string& name) const {
    std::vector<double> values;
    const std::string text = folder_.Read(save + "/metrics.jsonl");
    const std::string key = "\"" + name + "\":";
    for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += key.size()) {
      values.push_back(std::strtod(text.c_str() + at + key.size(), nullptr));
    }
    return values;
  }

  void ExpectSuccess(const MpirunOutcome& outcome) const { EXPECT_EQ(outcome.exit_code, 0) << outcome.err; }

  void ExpectNear(const std::string& save, const std::string& expected, const std::string& name, double tolerance) {
    const std::vector<double> values = Numbers(save, name);
    const std::vector<double> of_one = Numbers(expected, name);
    ASSERT_EQ(values.size(), of_one.size()) << name;
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(values[i], of_one[i], tolerance * of_one[i]) << name << " " << i << " of " << save;
    }
  }

  /// The bytes of the files of tensors of a checkpoint, of however many ranks.
  std::map<std::string, std::string> TensorFiles(const std::string& folder) const {
    std::map<std::string, std::string> files;
    for (const std::string& name : NamesIn(Save(folder))) {
      if (name.ends_with(".safetensors")) files[name] = folder_.Read(folder + "/" + name);
    }
    return files;
  }

  std::string Unzipped(const std::string& file) const {
    const std::string out = Save("unzipped");
    EXPECT_EQ(std::system(("zcat " + Save(file) + " > " + out).c_str()), 0);
    return folder_.Read("unzipped");
  }
};

/// What a run trains with, and how far its losses may be from those of one rank, relative.
struct PrecisionCase {
  const char* name;
  Strings overrides;
  std::int64_t sequences = 0;  // of a step, 32 tokens each
  double tolerance = 0.0;
};

/// Bounds as in tests/support/sharded_training.h: sums in another order, and what is rounded to bf16 or E4M3 now and
/// then to the other neighbor. The mean over a step's tokens makes the latter smaller; with as many as here bf16 is
/// within 1e-4.
std::vector<PrecisionCase> PrecisionCases() {
  const auto bound = [](double rounding, std::int64_t sequences) {
    return 4.0 * rounding / std::sqrt(32.0 * static_cast<double>(sequences));
  };
  return {{"fp32", {"--precision=fp32"}, 8, 1e-6},
          {"bf16", {}, 256, bound(0x1p-9, 256)},
          {"coat", kCoatBoth, 256, bound(0x1p-4, 256)}};
}

class EveryStrategy : public Distributed, public testing::WithParamInterface<PrecisionCase> {
 protected:
  Strings OverridesOf(const PrecisionCase& precision) {
    std::mt19937 generator(8);
    std::string tokens;
    for (std::int64_t i = 0; i < precision.sequences * kSteps * kLength; ++i) {
      AppendToken(tokens, static_cast<int>(generator() % kVocabulary));
    }
    Strings overrides = precision.overrides;
    for (const std::string& word :
         {"--data.paths=[" + folder_.Write("text.npy", tokens) + "]",
          "--global_train_batch_size=" + std::to_string(precision.sequences),
          std::string("--device_train_microbatch_size=2"), "--max_duration=" + std::to_string(kSteps),
          std::string("--fsdp.hybrid_sharding_num_model_replicas=2"), std::string("--save_interval=null")}) {
      overrides.push_back(word);
    }
    return overrides;
  }

  static constexpr int kSteps = 6;
};

TEST_P(EveryStrategy, HasTheLossesOfOneRank) {
  const double tolerance = GetParam().tolerance;
  const Strings overrides = OverridesOf(GetParam());
  ASSERT_EQ(RunAlone("one", overrides).exit_code, 0);
  for (const Strings& strategy :
       std::vector<Strings>{{"--distributed_strategy=ddp"},
                            {"--distributed_strategy=ddp", "--ddp.grad_sync_mode=micro_batch"},
                            {"--fsdp.sharding_strategy=FULL_SHARD"},
                            {"--fsdp.sharding_strategy=SHARD_GRAD_OP"},
                            {"--fsdp.sharding_strategy=NO_SHARD"},
                            {"--fsdp.sharding_strategy=HYBRID_SHARD"},
                            {"--fsdp.sharding_strategy=_HYBRID_SHARD_ZERO2"}}) {
    for (const int ranks : {2, 4}) {
      const std::string save = strategy.back().substr(strategy.back().find('=') + 1) + "-" + std::to_string(ranks);
      ExpectSuccess(RunOn(ranks, save, Joined(overrides, strategy)));
      EXPECT_EQ(Numbers(save, "step").size(), static_cast<std::size_t>(kSteps));
      ExpectNear(save, "one", "train/CrossEntropyLoss", tolerance);
      ExpectNear(save, "one", "optim/total_grad_norm", 4 * tolerance);
      ExpectNear(save, "one", "eval/held-out/CrossEntropyLoss", tolerance);
      ExpectNear(save, "one", "throughput/total_tokens", 0.0);
      // The same weights and the same micro-batches: only the sum of their losses, in float64, is in another order.
      const double first = Numbers("one", "train/CrossEntropyLoss").at(0);
      const double rounding = static_cast<double>(GetParam().sequences) * 0x1p-53 * first;
      EXPECT_NEAR(Numbers(save, "train/CrossEntropyLoss").at(0), first, rounding);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Distributed, EveryStrategy, testing::ValuesIn(PrecisionCases()),
                         [](const auto& with) { return std::string(with.param.name); });

TEST_F(Distributed, IsTheSameBitForBitHoweverTheModelIsShared) {
  // Where every micro-batch is summed, in the order of the ranks, only the norms of parts differ in their last bits.
  const Strings overrides = Joined(kCoatBoth, {"--max_grad_norm=null", "--save_interval=null"});
  for (const int ranks : {2, 4}) {
    ExpectSuccess(
        RunOn(ranks, "full" + std::to_string(ranks), Joined(overrides, {"--fsdp.sharding_strategy=FULL_SHARD"})));
    for (const Strings& strategy :
         std::vector<Strings>{{"--fsdp.sharding_strategy=SHARD_GRAD_OP"},
                              {"--fsdp.sharding_strategy=NO_SHARD"},
                              {"--distributed_strategy=ddp", "--ddp.grad_sync_mode=micro_batch"}}) {
      const std::string save = strategy.back().substr(strategy.back().find('=') + 1) + std::to_string(ranks);
      ExpectSuccess(RunOn(ranks, save, Joined(overrides, strategy)));
      for (const char* metric : {"train/CrossEntropyLoss", "eval/held-out/CrossEntropyLoss"}) {
        EXPECT_FALSE(Numbers(save, metric).empty());
        EXPECT_EQ(Numbers(save, metric), Numbers("full" + std::to_string(ranks), metric)) << save;
      }
    }
  }
}

TEST_F(Distributed, HybridStrategiesHaveOneReplicaAMachineByThemselves) {
  ExpectSuccess(RunOn(2, "hybrid", {"--fsdp.sharding_strategy=HYBRID_SHARD", "--save_interval=null"}));
  ExpectSuccess(RunOn(2, "full", {"--fsdp.sharding_strategy=FULL_SHARD", "--save_interval=null"}));
  EXPECT_EQ(Numbers("hybrid", "train/CrossEntropyLoss"), Numbers("full", "train/CrossEntropyLoss"));
}

TEST_F(Distributed, RepeatsBitForBit) {
  for (const Strings& recipe : {Strings{"--fsdp.precision=pure"}, kCoatBoth}) {
    const std::string name = "run" + std::to_string(recipe.size());
    ExpectSuccess(RunOn(2, name + "a", recipe));
    ExpectSuccess(RunOn(2, name + "b", recipe));
    EXPECT_EQ(MetricsOf(name + "a"), MetricsOf(name + "b"));
    const auto files = TensorFiles(name + "a/step12");
    EXPECT_GE(files.size(), 2u);
    EXPECT_TRUE(files == TensorFiles(name + "b/step12"));
  }
}

TEST_F(Distributed, EvaluatesAsOneRankBitForBit) {
  // 40 sequences are five batches of 8, and 14 of 3: some ranks have one batch less than others.
  ASSERT_EQ(RunAlone("start", {"--stop_at=4"}).exit_code, 0);
  const Strings overrides = {"--load_path=" + Save("start/step4"), "--eval_on_load", "--stop_at=5",
                             "--device_eval_batch_size=3",
                             "--evaluators=[{label: a, data: {paths: [" + data_ +
                                 "]}}, {label: b, recipe: training, data: {paths: [" + data_ + "]}}]"};
  ASSERT_EQ(RunAlone("one", overrides).exit_code, 0);
  for (const int ranks : {2, 4}) {
    const std::string save = "of" + std::to_string(ranks);
    const MpirunOutcome outcome = RunOn(ranks, save, overrides);
    ExpectSuccess(outcome);
    ExpectParts(outcome.out, {"[eval_step=1/14]", "[eval_step=14/14]"});
    for (const char* label : {"eval/a/CrossEntropyLoss", "eval/b/CrossEntropyLoss"}) {
      const std::vector<double> one = Numbers("one", label);
      ASSERT_EQ(one.size(), 2u) << "after loading, and at the last step";
      EXPECT_EQ(Numbers(save, label).front(), one.front());
    }
  }
}

TEST_F(Distributed, ScoresQuestionsAsOneRankBitForBit) {
  // 44 requests are 5 batches of 9 at the most, scored with initial weights: the step moves none by a bit.
  const Strings overrides = {
      "--stop_at=1",
      "--eval_interval=1",
      "--device_eval_batch_size=9",
      "--tokenizer.identifier=bytes",
      "--model.vocab_size=257",
      "--model.embedding_size=320",
      "--model.max_sequence_length=128",
      "--evaluators=[{label: quiz, type: downstream, metrics: [acc, len_norm, bpb], requests: [" + SourceDir() +
          "/tests/eval/questions.jsonl]}]",
      "--optimizer.learning_rate=1e-30"};
  const Outcome one = RunAlone("one", overrides);
  ASSERT_EQ(one.exit_code, 0) << one.err;
  for (const int ranks : {2, 4}) {
    const std::string save = "of" + std::to_string(ranks);
    ExpectSuccess(RunOn(ranks, save, overrides));
    for (const char* metric :
         {"eval/downstream/quiz_acc", "eval/downstream/quiz_len_norm", "eval/downstream_bpb/quiz_bpb"}) {
      ASSERT_EQ(Numbers("one", metric).size(), 1u) << folder_.Read("one/metrics.jsonl");
      EXPECT_EQ(Numbers(save, metric), Numbers("one", metric)) << metric;
    }
  }
}

TEST_F(Distributed, GoesOnFromTheFilledEndOfAnEpochWithOneRank) {
  // 15 sequences are 16 for two ranks, two batches of 8.
  const std::string few = folder_.Write("few.npy", folder_.Read("train.npy").substr(0, 15 * kLength * 2));
  const Strings overrides = {"--data.paths=[" + few + "]", "--data.drop_last=false", "--stop_after=2",
                             "--try_load_latest_save"};
  ExpectSuccess(RunOn(2, "run", overrides));
  const Outcome outcome = RunAlone("run", overrides);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Numbers("run", "step").back(), 4);
}

TEST_F(Distributed, SaysOnceWhatIsWrongWithACheckpoint) {
  ASSERT_EQ(RunAlone("one", {"--stop_at=2"}).exit_code, 0);
  const std::string path = Save("one/step2");
  const auto load = [&](const std::string& from) { return RunOn(2, "two", {"--load_path=" + from}); };
  ExpectFailure(load(Save("none")), 1, {"error: " + Save("none") + " is not a checkpoint"});
  std::string config = folder_.Read("one/step2/config.yaml");
  config.back() = ' ';
  folder_.Write("one/step2/config.yaml", config);
  ExpectFailure(load(path), 1, {"error: " + path + "/config.yaml: damaged"});
  for (const char* command : {"eval", "generate"}) {
    Strings words = {command, path};
    if (command == std::string("generate")) words.insert(words.end(), {"--prompt", "a"});
    ExpectFailure(RunCoat(words), 1, {"config.yaml: damaged"});
  }
}

TEST_F(Distributed, SkipsUpdatesOnAllRanksAndGivesUpOnce) {
  const MpirunOutcome outcome =
      RunOn(2, "hot", {"--optimizer.learning_rate=1e30", "--scheduler.name=constant", "--max_grad_norm=null"});
  ExpectFailure(outcome, 1, {"error: step ", "3 in a row", "max_skipped_steps is reached"});
  ExpectParts(outcome.out, {"is skipped, 1 in a row", "the gradient of transformer."});
}

TEST_F(Distributed, EachRankRecordsItsSequences) {
  ASSERT_EQ(RunAlone("run").exit_code, 0);
  std::istringstream one(Unzipped("run/data-indices/rank0.tsv.gz"));
  // The run that goes on with fewer ranks cuts off what the others recorded.
  ExpectSuccess(RunOn(4, "parts", {"--stop_at=5", "--save_interval=3"}));
  fs::remove_all(Save("parts/step5"));
  ExpectSuccess(RunOn(2, "parts", {"--try_load_latest_save"}));
  EXPECT_EQ(NamesIn(Save("parts/data-indices")),
            (std::set<std::string>{"rank0.tsv.gz", "rank1.tsv.gz", "rank2.tsv.gz", "rank3.tsv.gz"}));
  std::vector<std::istringstream> logs;
  for (int rank = 0; rank < 4; ++rank) {
    logs.emplace_back(Unzipped("parts/data-indices/rank" + std::to_string(rank) + ".tsv.gz"));
  }
  std::string line;
  for (int step = 1; std::getline(one, line); ++step) {
    const std::size_t ranks = step <= 3 ? 4 : 2;
    std::vector<std::istringstream> of_ranks(ranks);
    std::string dealt = std::to_string(step);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      std::string own;
      ASSERT_TRUE(std::getline(logs[rank], own)) << step;
      of_ranks[rank].str(own);
      std::string first;
      of_ranks[rank] >> first;
      EXPECT_EQ(first, std::to_string(step));
    }
    for (std::size_t i = 0; i < 8; ++i) {
      std::string index;
      of_ranks[i % ranks] >> index;
      dealt += "\t" + index;
    }
    EXPECT_EQ(dealt, line);
  }
  for (std::istringstream& log : logs) EXPECT_FALSE(std::getline(log, line)) << line;
}

TEST_F(Distributed, SpeaksOnceAndRecordsOnce) {
  ::setenv("TERM", "xterm", 1);  // a terminal would be drawn on
  ::unsetenv("NO_COLOR");
  const MpirunOutcome outcome = RunOn(4, "run", {"--module_outputs_save_steps=[2]", "--torch_profiling"});
  ExpectSuccess(outcome);
  for (const char* once : {"[step=7/12,", "Finished at step 12: 3,072 tokens", "/step8", "Profile by total CPU time"}) {
    const std::size_t at = outcome.out.find(once);
    ASSERT_NE(at, std::string::npos) << once;
    EXPECT_EQ(outcome.out.find(once, at + 1), std::string::npos) << once;
  }
  // mpirun gives rank 0 a terminal, though its own output goes to this test.
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("step 7/12"), std::string::npos) << "a progress line";
  EXPECT_EQ(Numbers("run", "step").size(), 12u);
  EXPECT_EQ(NamesIn(Save("run/traces")), std::set<std::string>{"step2"});
  EXPECT_EQ(NamesIn(Save("run/tensorboard")).size(), 1u);
}

TEST_F(Distributed, SaysWhatOneRankTakesInMemory) {
  const MpirunOutcome outcome = RunOn(4, "run", {"--dry_run"});
  ExpectSuccess(outcome);
  const Outcome plan = RunCoat(Joined(Joined({"plan", config_}, Common()), {"--ranks", "4"}));
  const std::size_t total = plan.out.find("\ntotal");
  ASSERT_NE(total, std::string::npos) << plan.out << plan.err;
  std::istringstream words(plan.out.substr(total));
  std::string bytes, size, unit;
  words >> bytes >> bytes >> size >> unit;
  ExpectParts(outcome.out, {", rank 0 of 4\n", "Memory: " + size + " " + unit + " in arenas"});
}

TEST_F(Distributed, SaysOnceWhatAllRanksRefuse) {
  ExpectFailure(RunOn(3, "run"), 2,
                {"error: on the command line: --global_train_batch_size: found 8; accepted with 3 ranks: a multiple of "
                 "3, such as 6 or 9"});
  ExpectFailure(RunOn(2, "run", {"--distributed_strategy=single"}), 2, {"--distributed_strategy: found single"});
  ExpectFailure(RunOn(2, "run", {"--model.n_head=1"}), 2, {"error: on the command line: --model.n_head: no such key"});
  ExpectFailure(RunOn(2, "run", {"--global_train_batch_size=4000"}), 2, {"error: the training data hold "});
  ExpectFailure(RunOn(2, "run", {"--nonsense"}), 2, {"error: --nonsense: no such option or key"});
  ExpectFailure(Mpirun(2, "'" COAT_BINARY "' info"), 2, {"error: info: started on 2 ranks", "coat train"});
  ExpectFailure(Mpirun(2, "'" COAT_BINARY "' nothing"), 2, {"nothing"});
  EXPECT_FALSE(fs::exists(Save("run")));
  ExpectSuccess(RunOn(2, "run", {"--stop_at=1"}));
  ExpectFailure(RunOn(2, "run"), 2, {"error: save_folder: ", "holds a run already"});
}

TEST_F(Distributed, NamesTheRankThatDiffers) {
  ExpectFailure(RunBoth(Command("run"), Command("run", {"--optimizer.weight_decay=0.5"})), 2,
                {"error: optimizer.weight_decay: rank 1 of 2 has `0.5`, rank 0 has `"});
  // Of the command line, what decides what a rank does on its GPU.
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{
           {"--gemm=bf16", "--gemm: rank 1 of 2 has `bf16`, rank 0 has `auto`"},
           {"--no_cuda_graphs", "--no_cuda_graphs: rank 1 of 2 has `set`, rank 0 has `not set`"},
           {"--fast_attention", "--fast_attention: rank 1 of 2 has `set`, rank 0 has `not set`"}}) {
    ExpectFailure(RunBoth(Command("run"), Command("run", {option})), 2,
                  {"error: " + value, "the same options on all ranks"});
  }
  // The same words in two folders: other data, and another folder to save in.
  const std::string words = Command("run", {"--save_folder=out", "--data.paths=[train.npy]", "--evaluators=[]"});
  const auto in = [&](const std::string& folder) { return "-wdir '" + Save(folder) + "' " + words; };
  const std::string tokens = folder_.Read("train.npy");
  folder_.Write("a/train.npy", tokens);
  folder_.Write("b/train.npy", tokens.substr(0, tokens.size() / 2));
  folder_.Write("c/train.npy", tokens);
  folder_.Write("d/other.npy", tokens);
  ExpectFailure(Mpirun(1, in("a") + " : -n 1 " + in("b")), 2, {"error: train.npy: rank 1 of 2 has `", " bytes`"});
  ExpectFailure(Mpirun(1, in("a") + " : -n 1 " + in("d")), 2, {"error: train.npy: rank 1 of 2 has nothing"});
  ExpectFailure(Mpirun(1, in("a") + " : -n 1 " + in("c")), 2,
                {"error: rank 1: save_folder: ", Save("c/out"), "a folder that all ranks share"});
}

TEST_F(Distributed, NamesTheRankWhoseCheckpointDiffers) {
  const Strings one_step = {"--stop_at=1", "--save_num_checkpoints_to_keep=-1"};
  ExpectSuccess(RunOn(2, "first", one_step));
  ExpectSuccess(RunOn(2, "second", Joined(one_step, {"--seed=7"})));
  fs::create_directories(Save("a"));
  fs::create_directories(Save("b"));
  fs::copy(Save("first/step1"), Save("a/ck"), fs::copy_options::recursive);
  fs::copy(Save("second/step1"), Save("b/ck"), fs::copy_options::recursive);
  const auto in = [&](const std::string& folder) {
    return "-wdir '" + Save(folder) + "' " + Command("run", {"--load_path=ck"});
  };
  ExpectFailure(Mpirun(1, in("a") + " : -n 1 " + in("b")), 2,
                {"error: load_path: rank 1 of 2 has `ck: step 1, checksum ", "the same checkpoint on all ranks"});
}

TEST_F(Distributed, NamesTheRankThatFailsAlone) {
  const std::string train = Command("run");
  ExpectFailure(RunBoth(train, "'" COAT_BINARY "' train nowhere.yaml"), 2,
                {"error: rank 1: nowhere.yaml: No such file or directory"});
  ExpectFailure(RunBoth("env SPEED_BENCH=maybe " + train, train), 2, {"error: rank 0: ", "SPEED_BENCH"});
  std::string held_out = folder_.Read("train.npy");
  held_out[9 * 32 * 2 + 1] = 1;  // an id of 256 and more, in the second batch
  folder_.Write("held-out.npy", held_out);
  ExpectFailure(RunOn(2, "run", {"--evaluators=[{label: x, data: {paths: [" + Save("held-out.npy") + "]}}]"}), 1,
                {"error: rank 1: ", "held-out.npy: token 288 (byte 576) is "});
  // In the middle of a run: the other rank waits for its gradients.
  std::string tokens = folder_.Read("train.npy");
  tokens[tokens.size() / 2 - tokens.size() / 2 % 2 + 1] = 1;  // an id of 256 and more
  folder_.Write("train.npy", tokens);
  const MpirunOutcome outcome = RunOn(2, "bad", {"--evaluators=[]"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, 30.0);
  ExpectParts(outcome.err, {" of 2: ", "train.npy"});
}

TEST_F(Distributed, StopsAllRanksAfterTheSameStepOnASignalToOne) {
  const MpirunOutcome outcome = SignalRankOne(SIGTERM, "run", {"--max_duration=1000000", "--save_interval=null"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  const LatestCheckpoint latest = FindLatestCheckpoint(Save("run"));
  ASSERT_TRUE(latest.path);
  const std::int64_t step = CheckpointReader(*latest.path).state().step;
  EXPECT_EQ(Numbers("run", "step").size(), static_cast<std::size_t>(step));
  ExpectSuccess(
      RunOn(2, "run", {"--max_duration=1000000", "--save_interval=null", "--try_load_latest_save", "--stop_after=2"}));
  EXPECT_EQ(Numbers("run", "step").back(), static_cast<double>(step + 2));
}

TEST_F(Distributed, StopsAllRanksOnASignalThatMpirunPassesOn) {
  const MpirunOutcome outcome =
      SignalRankOne(SIGUSR1, "run", {"--max_duration=1000000", "--save_interval=null"}, /*to_its_parent=*/true);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_TRUE(FindLatestCheckpoint(Save("run")).path);
}

TEST_F(Distributed, EndsAllRanksWhenOneIsKilledAndGoesOnFromTheLastCheckpoint) {
  const Strings overrides = {"--max_duration=60", "--save_interval=5", "--try_load_latest_save"};
  ExpectSuccess(RunOn(2, "whole", overrides));
  const MpirunOutcome outcome = SignalRankOne(SIGKILL, "killed", overrides);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, 30.0);
  ExpectParts(outcome.err, {"rank 1"});
  ASSERT_TRUE(FindLatestCheckpoint(Save("killed")).path);
  ExpectSuccess(RunOn(2, "killed", overrides));
  EXPECT_EQ(Numbers("killed", "train/CrossEntropyLoss"), Numbers("whole", "train/CrossEntropyLoss"));
  EXPECT_TRUE(TensorFiles("killed/step60") == TensorFiles("whole/step60"));
}

TEST_F(Distributed, EndsWhenARankIsStoppedForTooLong) {
  ::setenv("COAT_RANK_TIMEOUT", "2", 1);
  const MpirunOutcome outcome = SignalRankOne(SIGSTOP, "run", {"--max_duration=1000000", "--save_interval=5"});
  ::unsetenv("COAT_RANK_TIMEOUT");
  ExpectFailure(outcome, 1, {"error: rank 0 of 2: has waited 2 s for rank 1 on ", "COAT_RANK_TIMEOUT"});
  ExpectParts(outcome.err, {"coat: warning: rank 0 of 2 has waited 1 s for rank 1 on "});
  EXPECT_TRUE(FindLatestCheckpoint(Save("run")).path);
}

TEST_F(Distributed, EndsTogetherWhenTheSaveFolderIsMoved) {
  std::future<MpirunOutcome> end = std::async(std::launch::async, [&] {
    return RunOn(2, "run", {"--max_duration=1000000", "--save_interval=5", "--evaluators=[]"});
  });
  const auto is_running = [&] { return end.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready; };
  while (is_running() && !fs::exists(Save("run/step5"))) continue;
  fs::rename(Save("run"), Save("away"));
  ExpectFailure(end.get(), 1,
                {"error: save_folder: " + Save("run") + " was moved or removed", "--try_load_latest_save"});
  EXPECT_FALSE(fs::exists(Save("run")));
}

TEST_F(Distributed, DecidesTogetherWhenToEnd) {
  const std::string train = Command("speed", {"--max_duration=20", "--save_interval=null"});
  const MpirunOutcome speed = RunBoth(train, "env SPEED_BENCH=1 " + train);
  ExpectSuccess(speed);
  ExpectParts(speed.out, {"SPEED_BENCH is set", "Training Speed: "});
  EXPECT_EQ(Numbers("speed", "step").back(), 10);
  const MpirunOutcome limit =
      RunOn(2, "limit", {"--time_limit=1e-9", "--canceled_check_interval=3", "--extra_steps_after_cancel=2"});
  EXPECT_EQ(limit.exit_code, 3) << limit.err;
  ExpectParts(limit.out, {"time_limit is reached", "Stopped after step 5"});
}

}  // namespace
}  // namespace coat
