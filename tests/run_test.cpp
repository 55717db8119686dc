// Whole runs of the `coat` command: what they write, how they stop and go on, what they refuse.

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "ops/dispatch.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

/// In the process of a command: no GPU is there.
void HideGpus() {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
}

class Run : public TinyRun {};

/// The norms of OLMo 2, and grouped queries.
const std::vector<std::string> kOlmo2 = {"--model.layer_norm_type=rms", "--model.layer_norm_with_affine=true",
                                         "--model.norm_after=true",     "--model.attention_layer_norm=true",
                                         "--model.n_kv_heads=1",        "--optimizer.decay_norm_and_bias=true"};

std::vector<std::string> Together(std::vector<std::string> some, const std::vector<std::string>& others) {
  some.insert(some.end(), others.begin(), others.end());
  return some;
}

const std::vector<std::vector<std::string>> kRecipes = {
    {},
    {"--quantize_model.use_quantize_model=coat_real", "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw",
     "--quantize_optimizer.first_order_expansion=expansion", "--quantize_optimizer.second_order_expansion=expansion"},
    {"--optimizer.name=lionw", "--optimizer.learning_rate=1e-4", "--max_grad_norm_ratio=0.9", "--precision=fp32"},
    Together(kOlmo2, {"--quantize_model.use_quantize_model=coat_real",
                      "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw",
                      "--quantize_optimizer.first_order_expansion=expansion",
                      "--quantize_optimizer.second_order_expansion=expansion"}),
};

TEST_F(Run, WritesMetricsCheckpointsAndItsConfiguration) {
  const Outcome outcome = RunCoat(Train("run"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"[step=12/12,epoch=1]", "train/CrossEntropyLoss=", "eval/held-out/CrossEntropyLoss="});
  const std::vector<std::string> metrics = MetricsOf("run");
  ASSERT_EQ(metrics.size(), 12u);
  ExpectParts(metrics[0], {"\"step\":1,", "\"train/CrossEntropyLoss\":5.", "\"optim/learning_rate_group0\":"});
  ExpectParts(metrics[4], {"\"step\":5,", "\"eval/held-out/Perplexity\":"});
  ExpectParts(metrics[3], {"\"optim/grad/transformer.wte.weight.norm\":"});
  EXPECT_FALSE(fs::exists(Save("run/step0"))) << "retention keeps two";
  EXPECT_FALSE(fs::exists(Save("run/step4")));
  EXPECT_TRUE(IsWholeCheckpoint(Save("run/step8")));
  EXPECT_TRUE(IsWholeCheckpoint(Save("run/latest")));
  EXPECT_EQ(fs::read_symlink(Save("run/latest")), "step12");
  const Outcome again = RunCoat({"config", Save("run/config.yaml")});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, folder_.Read("run/config.yaml"));
}

TEST_F(Run, RepeatsBitForBitOnAnyNumberOfThreads) {
  for (const auto& recipe : kRecipes) {
    const std::string name = "repeat" + std::to_string(&recipe - kRecipes.data());
    auto once = recipe;
    once.push_back("--threads=1");
    auto again = recipe;
    again.push_back("--threads=3");
    ASSERT_EQ(RunCoat(Train(name + "a", once)).exit_code, 0);
    ASSERT_EQ(RunCoat(Train(name + "b", again)).exit_code, 0);
    EXPECT_EQ(MetricsOf(name + "a"), MetricsOf(name + "b"));
    EXPECT_EQ(Tensors(name + "a", "step12"), Tensors(name + "b", "step12"));
  }
}

TEST_F(Run, ResumesBitForBit) {
  for (const auto& recipe : kRecipes) {
    const std::string name = "resume" + std::to_string(&recipe - kRecipes.data());
    ASSERT_EQ(RunCoat(Train(name + "whole", recipe)).exit_code, 0);
    auto first = recipe;
    first.push_back("--stop_at=7");
    ASSERT_EQ(RunCoat(Train(name + "parts", first)).exit_code, 0);
    auto rest = recipe;
    rest.push_back("--try_load_latest_save");
    const Outcome outcome = RunCoat(Train(name + "parts", rest));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    // The stopped run evaluated at its last step; otherwise every line is the same.
    std::vector<std::string> whole = MetricsOf(name + "whole");
    std::vector<std::string> parts = MetricsOf(name + "parts");
    ASSERT_EQ(whole.size(), parts.size());
    EXPECT_EQ(parts[6].rfind(whole[6].substr(0, whole[6].size() - 2), 0), 0u);
    whole.erase(whole.begin() + 6);
    parts.erase(parts.begin() + 6);
    EXPECT_EQ(whole, parts);
    EXPECT_EQ(Tensors(name + "whole", "step12"), Tensors(name + "parts", "step12"));
  }
}

TEST_F(Run, OfOlmo2TakesTokensOfFourBytes) {
  const std::string narrow = folder_.Read("train.npy");
  std::string wide;
  for (std::size_t i = 0; i < narrow.size(); i += 2) wide += narrow.substr(i, 2) + std::string(2, '\0');
  const std::string data = folder_.Write("train32.npy", wide);
  ASSERT_EQ(RunCoat(Train("narrow", kOlmo2)).exit_code, 0);
  const Outcome outcome =
      RunCoat(Train("wide", Together(kOlmo2, {"--data.memmap_dtype=uint32", "--data.paths=[" + data + "]"})));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(MetricsOf("narrow"), MetricsOf("wide"));
  EXPECT_EQ(Tensors("narrow", "step12"), Tensors("wide", "step12"));
  ExpectParts(MetricsOf("wide")[3], {"\"optim/param/transformer.blocks.1.q_norm.weight.norm\":"});
}

TEST_F(Run, KeepsTheRecordOfDataAcrossAResume) {
  ASSERT_EQ(RunCoat(Train("whole")).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("parts", {"--stop_at=5"})).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("parts", {"--load_path=" + Save("parts/latest")})).exit_code, 0);
  const auto unzipped = [&](const std::string& save) {
    const std::string out = Save(save + ".tsv");
    EXPECT_EQ(std::system(("zcat " + Save(save) + "/data-indices/rank0.tsv.gz > " + out).c_str()), 0);
    return folder_.Read(save + ".tsv");
  };
  const std::string whole = unzipped("whole");
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 12);
  EXPECT_EQ(whole, unzipped("parts"));
}

TEST_F(Run, StartsFromAConvertedModelAndIsConvertedBack) {
  ASSERT_EQ(RunCoat(Train("run", {"--stop_at=4"})).exit_code, 0);
  const auto convert = [&](const std::string& from, const std::string& to) {
    const Outcome outcome = RunCoat({"convert", Save(from), Save(to)});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectParts(outcome.out, {" parameters in ", Save(to)});
  };
  convert("run/latest", "hf");
  const Outcome olmo = RunCoat({"convert", Save("run/latest"), Save("olmo"), "--to", "olmo"});
  EXPECT_EQ(olmo.exit_code, 0) << olmo.err;
  ExpectParts(olmo.out,
              {"not taken over: ", "optim.safetensors", "without optim.pt and train.pt", "reset_trainer_state"});
  convert("hf", "model");
  EXPECT_EQ(folder_.Read("run/step4/model.safetensors"), folder_.Read("model/model.safetensors"));
  EXPECT_EQ(RunCoat({"config", Save("model/config.yaml")}).exit_code, 0);

  const Outcome outcome = RunCoat(Train("more", {"--load_path=" + Save("model"), "--reset_optimizer_state",
                                                 "--reset_trainer_state", "--max_duration=2"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(MetricsOf("more").size(), 2u);
  convert("more/latest", "hf-more");
  convert("hf-more", "model-more");
  EXPECT_EQ(folder_.Read("more/step2/model.safetensors"), folder_.Read("model-more/model.safetensors"));
  EXPECT_NE(folder_.Read("model/model.safetensors"), folder_.Read("model-more/model.safetensors"));

  ExpectFailure(RunCoat(Train("whole", {"--load_path=" + Save("model")})), 2,
                {"load_path", Save("model"), "no optimizer state (optim.safetensors)", "reset_optimizer_state: true"});
}

TEST_F(Run, FinishesTheStepAndSavesOnASignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string name = "signal" + std::to_string(signal);
    CoatProcess process(Train(name, {"--max_duration=1000000", "--save_interval=null"}));
    process.AwaitOutput("[step=3/");
    process.Signal(signal);
    const Outcome outcome = process.Wait();
    EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
    const LatestCheckpoint latest = FindLatestCheckpoint(Save(name));
    ASSERT_TRUE(latest.path);
    const std::int64_t step = CheckpointReader(*latest.path).state().step;
    EXPECT_GE(step, 3);
    EXPECT_EQ(MetricsOf(name).size(), static_cast<std::size_t>(step));
    const Outcome rest = RunCoat(Train(name, {"--try_load_latest_save", "--stop_after=2"}));
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
  }
}

TEST_F(Run, SurvivesKillsAtRandomInstants) {
  ASSERT_EQ(RunCoat(Train("whole", {"--save_interval=1"})).exit_code, 0);
  std::mt19937 generator(11);
  for (int kill = 0; kill < 12; ++kill) {
    CoatProcess process(Train("killed", {"--save_interval=1", "--try_load_latest_save"}));
    std::this_thread::sleep_for(std::chrono::milliseconds(generator() % 400));
    process.Signal(SIGKILL);
    process.Wait();
    if (const LatestCheckpoint latest = FindLatestCheckpoint(Save("killed")); latest.path) {
      EXPECT_NO_THROW(CheckpointReader(*latest.path).OpenSafetensors("optim.safetensors"));
      EXPECT_TRUE(latest.incomplete.empty());
    }
  }
  const Outcome rest = RunCoat(Train("killed", {"--save_interval=1", "--try_load_latest_save"}));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(Tensors("whole", "step12"), Tensors("killed", "step12"));
  EXPECT_EQ(MetricsOf("whole").back(), MetricsOf("killed").back());
}

TEST_F(Run, StartsOverWhereAnAttemptWasKilledBeforeItsFirstCheckpoint) {
  ASSERT_EQ(RunCoat(Train("early", {"--stop_at=2"})).exit_code, 0);
  fs::remove_all(Save("early/step0"));
  fs::remove_all(Save("early/step2"));
  ExpectFailure(RunCoat(Train("early")), 2, {"holds a run already"});
  const Outcome again = RunCoat(Train("early", {"--try_load_latest_save", "--stop_at=3"}));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(MetricsOf("early").size(), 3u);
}

TEST_F(Run, ReportsAFullDiskAndKeepsTheCheckpointBefore) {
  ASSERT_EQ(RunCoat(Train("full", {"--stop_at=4"})).exit_code, 0);
  const std::string before = Tensors("full", "step4");
  const auto limit = [] {
    const rlimit size = {200'000, 200'000};
    ::setrlimit(RLIMIT_FSIZE, &size);
  };
  ExpectFailure(RunCoat(Train("full", {"--try_load_latest_save"}), limit), 1, {"File too large", "full"});
  EXPECT_EQ(*FindLatestCheckpoint(Save("full")).path, Save("full/step4"));
  EXPECT_EQ(Tensors("full", "step4"), before);
  const Outcome rest = RunCoat(Train("full", {"--try_load_latest_save"}));
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
}

TEST_F(Run, SkipsUpdatesThatAreNotFiniteAndGivesUpAfterSeveral) {
  const Outcome outcome =
      RunCoat(Train("hot", {"--optimizer.learning_rate=1e30", "--scheduler.name=constant", "--max_grad_norm=null"}));
  ExpectFailure(outcome, 1, {"3 in a row", "max_skipped_steps"});
  ExpectParts(outcome.out, {"is skipped, 1 in a row", "the gradient of transformer."});
  ExpectParts(MetricsOf("hot").back(), {"\"train/skipped_steps\":3,"});
  // What was saved before is finite.
  const LatestCheckpoint latest = FindLatestCheckpoint(Save("hot"));
  ASSERT_TRUE(latest.path);
}

TEST_F(Run, StopsAtTheTimeLimitAfterSaving) {
  const Outcome outcome = RunCoat(Train("late", {"--time_limit=1e-9", "--canceled_check_interval=3",
                                                 "--extra_steps_after_cancel=2", "--save_interval=null"}));
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  ExpectParts(outcome.out, {"time_limit is reached: saving", "Stopped after step 5, because time_limit is reached",
                            "the checkpoint of step 3 is saved; --try_load_latest_save goes on"});
  EXPECT_EQ(*FindLatestCheckpoint(Save("late")).path, Save("late/step3"));
}

TEST_F(Run, WarmsUpAgainAfterLoadingWithoutTheOptimizer) {
  ASSERT_EQ(RunCoat(Train("first", {"--stop_at=4"})).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("second", {"--load_path=" + Save("first/step4"), "--reset_optimizer_state"})).exit_code, 0);
  const std::vector<std::string> metrics = MetricsOf("second");
  ASSERT_EQ(metrics.size(), 8u);
  ExpectParts(metrics[0], {"\"step\":5,", "\"optim/learning_rate_group0\":0.000"});
  ASSERT_EQ(RunCoat(Train("third", {"--load_path=" + Save("first/step4"), "--reset_optimizer_state",
                                    "--reset_trainer_state", "--stop_at=2"}))
                .exit_code,
            0);
  ExpectParts(MetricsOf("third")[0], {"\"step\":1,"});
}

TEST_F(Run, ForgetsTheWarmUpOfACheckpointWhoseStepItDoesNotTakeOver) {
  ASSERT_EQ(RunCoat(Train("first", {"--stop_at=4"})).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("again", {"--load_path=" + Save("first/step4"), "--reset_optimizer_state"})).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("anew", {"--load_path=" + Save("again/step8"), "--restore_dataloader=false", "--stop_at=4"}))
                .exit_code,
            0);
  const auto rates = [&](const std::string& save) {
    std::vector<std::string> found;
    for (const std::string& line : MetricsOf(save)) {
      const std::size_t begin = line.find("\"optim/learning_rate_group0\"");
      found.push_back(line.substr(begin, line.find(',', begin) - begin));
    }
    return found;
  };
  EXPECT_EQ(rates("anew"), rates("first"));
}

TEST_F(Run, WritesNothingInADryRun) {
  const Outcome outcome = RunCoat(Train("dry", {"--dry_run"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(fs::exists(Save("dry")));
}

TEST_F(Run, ComputesOnTheCpuWhereThereIsNoGpu) {
  const Outcome outcome = RunCoat(TrainAnywhere("auto", {"--dry_run", "--threads=1"}), HideGpus);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {" on cpu with 1 thread"});
  for (const char* choice : {"--device=cpu", "--single.device=cpu"}) {
    const Outcome chosen = RunCoat(TrainAnywhere("chosen", {"--dry_run", "--threads=1", choice}));
    EXPECT_EQ(chosen.exit_code, 0) << chosen.err;
    ExpectParts(chosen.out, {" on cpu with 1 thread\n"});
  }
}

// Bad input: one message, nothing overwritten.

TEST_F(Run, RefusesAGpuThatIsNotThere) {
  for (const char* choice : {"--device=cuda", "--single.device=cuda"}) {
    ExpectFailure(RunCoat(TrainAnywhere("gpu", {choice}), HideGpus), kWithCuda ? 1 : 2, {"--device=cpu"});
  }
  EXPECT_FALSE(fs::exists(Save("gpu")));
}

TEST_F(Run, RefusesOptionsOfTheOtherDevice) {
  for (const char* option : {"--gemm=bf16", "--no_cuda_graphs", "--fast_attention"}) {
    ExpectFailure(RunCoat(Train("other", {option})), 2, {"--gemm, --no_cuda_graphs and --fast_attention"});
    ExpectFailure(RunCoat(TrainAnywhere("other", {option}), HideGpus), 2, {"are for --device=cuda"});
  }
  ExpectFailure(RunCoat(TrainAnywhere("other", {"--device=cuda", "--threads=2"}), HideGpus), 2, {"--device=cpu"});
  EXPECT_FALSE(fs::exists(Save("other")));
}

TEST_F(Run, RefusesAFolderThatHoldsARun) {
  ASSERT_EQ(RunCoat(Train("held", {"--stop_at=4"})).exit_code, 0);
  const std::string metrics = folder_.Read("held/metrics.jsonl");
  ExpectFailure(RunCoat(Train("held")), 2, {"save_folder", Save("held"), "--save_overwrite", "--try_load_latest_save"});
  EXPECT_EQ(folder_.Read("held/metrics.jsonl"), metrics);
  EXPECT_TRUE(IsWholeCheckpoint(Save("held/step4")));
}

TEST_F(Run, RefusesToGoOnFromAnOlderCheckpointOfTheSameFolder) {
  ASSERT_EQ(RunCoat(Train("held", {"--stop_at=8"})).exit_code, 0);
  const std::string load = "--load_path=" + Save("held/step4");
  ExpectFailure(RunCoat(Train("held", {load})), 2, {"load_path", "held/step4", "--save_overwrite"});
  EXPECT_EQ(RunCoat(Train("held", {load, "--save_overwrite"})).exit_code, 0);
  EXPECT_EQ(MetricsOf("held").size(), 12u);
}

TEST_F(Run, StartsFromACheckpointOfAnotherNameInItsFolder) {
  ASSERT_EQ(RunCoat(Train("other", {"--stop_at=4"})).exit_code, 0);
  fs::create_directories(Save("here"));
  fs::copy(Save("other/step4"), Save("here/start"), fs::copy_options::recursive);
  const Outcome outcome = RunCoat(Train("here", {"--load_path=" + Save("here/start")}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST_F(Run, WarnsOfACheckpointThatAnEarlierRunLeaves) {
  const std::string warning = Save("twice/step8") + " is of an earlier run";
  const auto train = [&](std::vector<std::string> options) {
    const Outcome outcome = RunCoat(Train("twice", std::move(options)));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out.find(warning) != std::string::npos;
  };
  EXPECT_FALSE(train({"--save_overwrite", "--stop_at=8"}));
  EXPECT_FALSE(train({"--save_overwrite", "--stop_at=8", "--try_load_latest_save"}));
  EXPECT_FALSE(train({"--save_overwrite", "--stop_at=8", "--dry_run"}));
  EXPECT_FALSE(train({"--save_overwrite", "--stop_at=8", "--load_path=" + Save("twice/latest")}));
  EXPECT_TRUE(train({"--save_overwrite", "--stop_at=8", "--load_path=" + Save("twice/step4")}));
  EXPECT_TRUE(train({"--save_overwrite", "--stop_at=4"}));
}

TEST_F(Run, GoesOnFromItsOwnCheckpointsWhereAnEarlierRunHasLaterOnes) {
  const auto train = [&](const char* name, std::vector<std::string> options) {
    options.push_back("--save_overwrite");
    const Outcome outcome = RunCoat(Train(name, std::move(options)));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string seed = "--seed=7";
  train("again", {"--stop_at=8"});
  for (int run = 0; run < 2; ++run) {
    train("again", {seed, "--stop_at=4"});
    EXPECT_TRUE(IsWholeCheckpoint(Save("again/step8")));
  }
  for (const char* stop : {"--stop_at=6", "--stop_at=7"}) train("again", {seed, stop, "--try_load_latest_save"});
  train("once", {seed, "--stop_at=7"});
  EXPECT_TRUE(folder_.Read("again/step7/model.safetensors") == folder_.Read("once/step7/model.safetensors"));
  // An earlier run's step 8 is in the way of this one's, which may go on without save_overwrite.
  const Outcome rest = RunCoat(Train("again", {seed, "--stop_at=9", "--try_load_latest_save"}));
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(*FindLatestCheckpoint(Save("again")).path, Save("again/step9"));
}

TEST_F(Run, WarnsWhereTheOrderOfTheDataIsNoLongerTheCheckpoints) {
  ASSERT_EQ(RunCoat(Train("order", {"--stop_at=4"})).exit_code, 0);
  const auto warnings = [&](std::vector<std::string> options) {
    options.insert(options.end(), {"--load_path=" + Save("order/step4"), "--dry_run"});
    const Outcome outcome = RunCoat(Train("new", std::move(options)));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string warning = " differs from that in " + Save("order/step4/config.yaml");
  EXPECT_EQ(warnings({}).find(warning), std::string::npos);
  EXPECT_EQ(warnings({"--seed=7", "--restore_dataloader=false"}).find(warning), std::string::npos);
  EXPECT_EQ(warnings({"--seed=7", "--reset_trainer_state"}).find(warning), std::string::npos);
  ExpectParts(warnings({"--seed=7"}), {"seed" + warning, "--restore_dataloader=false begins the data anew"});
  ExpectParts(warnings({"--data.seed=7", "--model.max_sequence_length=16"}),
              {"data.seed" + warning, "model.max_sequence_length" + warning});
}

TEST_F(Run, HasNothingToDoWhenItIsFinished) {
  ASSERT_EQ(RunCoat(Train("done")).exit_code, 0);
  const std::string metrics = folder_.Read("done/metrics.jsonl");
  const Outcome again = RunCoat(Train("done", {"--try_load_latest_save"}));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(folder_.Read("done/metrics.jsonl"), metrics);
}

TEST_F(Run, RefusesASaveFolderThatCannotBe) {
  const std::string file = folder_.Write("file", "x");
  ExpectFailure(RunCoat({"train", config_, "--save_folder=" + file + "/below"}), 1, {file});
  EXPECT_EQ(folder_.Read("file"), "x");
}

TEST_F(Run, NamesTheTokenBeyondTheVocabulary) {
  std::string tokens;
  for (int i = 0; i < 8 * kLength; ++i) AppendToken(tokens, i == 70 ? 100 : 1);
  const std::string path = folder_.Write("bad.npy", tokens);
  ExpectFailure(RunCoat(Train("beyond", {"--data.paths=[" + path + "]"})), 1, {path, "token 70", "100"});
}

TEST_F(Run, RefusesTokenFilesThatAreOddShortOrMissing) {
  const std::string odd = folder_.Write("odd.npy", std::string(2 * kLength + 1, '\0'));
  const std::string small = folder_.Write("small.npy", std::string(2 * kLength - 2, '\0'));
  ExpectFailure(RunCoat(Train("a", {"--data.paths=[" + odd + "]"})), 1, {odd, "65"});
  ExpectFailure(RunCoat(Train("b", {"--data.paths=[" + small + "]"})), 1, {small, "62"});
  ExpectFailure(RunCoat(Train("c", {"--data.paths=[" + Save("none.npy") + "]"})), 1, {"none.npy", "No such file"});
  ExpectFailure(RunCoat(Train("d", {"--data.paths=[]"})), 2, {"data.paths"});
  for (const char* save : {"a", "b", "c", "d"}) EXPECT_FALSE(fs::exists(Save(save)));
}

TEST_F(Run, RefusesWidthsThatARecipeCannotTake) {
  ExpectFailure(RunCoat(Train("w", {"--quantize_model.use_quantize_model=coat_real", "--model.mlp_hidden_size=200"})),
                2, {"coat_real", "mlp_hidden_size"});
  ExpectFailure(RunCoat(Train("w", {"--quantize_model.use_quantize_model=fp8deepseek"})), 2,
                {"fp8deepseek", "d_model"});
  EXPECT_FALSE(fs::exists(Save("w")));
}

TEST_F(Run, RefusesACheckpointOfAnotherShapeOrOptimizer) {
  ASSERT_EQ(RunCoat(Train("first", {"--stop_at=4"})).exit_code, 0);
  const std::string load = "--load_path=" + Save("first/step4");
  ExpectFailure(RunCoat(Train("wide", {load, "--model.mlp_ratio=8"})), 2,
                {"model.mlp_ratio", "512", "256", "first/step4/config.yaml"});
  ExpectFailure(RunCoat(Train("fp8", {load, "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw"})), 1,
                {"optim.safetensors", "exp_avg", "reset_optimizer_state"});
  ExpectFailure(RunCoat(Train("none", {"--load_path=" + Save("nowhere")})), 1, {"nowhere"});
}

TEST_F(Run, RefusesCheckpointsThatWereCutOrTamperedWith) {
  ASSERT_EQ(RunCoat(Train("first", {"--stop_at=4"})).exit_code, 0);
  const std::string file = "first/step4/model.safetensors";
  const std::string whole = folder_.Read(file);
  const std::string load = "--load_path=" + Save("first/step4");
  folder_.Write(file, whole.substr(0, whole.size() / 2));
  ExpectFailure(RunCoat(Train("x", {load})), 1, {"model.safetensors"});
  std::string tampered = whole;
  tampered[7] = '\x7f';  // the header's length, now beyond 2^62
  folder_.Write(file, tampered);
  ExpectFailure(RunCoat(Train("x", {load})), 1, {"model.safetensors"});
  tampered = whole;
  tampered[whole.size() - 10] = static_cast<char>(tampered[whole.size() - 10] ^ 1);
  folder_.Write(file, tampered);
  ExpectFailure(RunCoat(Train("x", {load})), 1, {"model.safetensors", "checksum"});
}

}  // namespace
}  // namespace coat
