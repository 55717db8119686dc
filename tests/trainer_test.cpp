// Keys of the trainer in whole runs of the `coat` command: each test fails when its key is ignored.

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/safetensors.h"
#include "tests/support/python.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

class Trainer : public TinyRun {
 protected:
  Outcome Run(const std::string& save, const Strings& overrides) const {
    Outcome outcome = RunCoat(Train(save, overrides));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome;
  }

  /// The number of `name` in each line of a run's metrics that has it.
  std::vector<double> Numbers(const std::string& save, const std::string& name) const {
    std::vector<double> numbers;
    for (const std::string& line : MetricsOf(save)) {
      const std::string key = "\"" + name + "\":";
      const std::size_t at = line.find(key);
      if (at != std::string::npos) numbers.push_back(std::strtod(line.c_str() + at + key.size(), nullptr));
    }
    return numbers;
  }

  std::vector<double> LearningRates(const std::string& save) const {
    return Numbers(save, "optim/learning_rate_group0");
  }

  /// The bytes of one row of a parameter.
  std::string Row(const std::string& checkpoint, const std::string& name, std::size_t row) const {
    const SafetensorsReader file = CheckpointReader(Save(checkpoint)).OpenSafetensors("model.safetensors");
    const auto width = static_cast<std::size_t>(file.Info(name).shape[1]) * sizeof(float);
    const auto bytes = file.Bytes(name).subspan(row * width, width);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

TEST_F(Trainer, EvaluatesOnLoad) {
  Run("first", {"--stop_at=4"});
  Run("second", {"--load_path=" + Save("first/step4"), "--eval_on_load", "--stop_after=1"});
  const Strings metrics = MetricsOf("second");
  ASSERT_EQ(metrics.size(), 2u);
  ExpectParts(metrics[0], {"\"step\":4,", "\"eval/held-out/CrossEntropyLoss\":"});
  EXPECT_EQ(metrics[0].find("train/"), std::string::npos);
  const auto of_first = Numbers("first", "eval/held-out/CrossEntropyLoss");
  EXPECT_EQ(of_first.back(), Numbers("second", "eval/held-out/CrossEntropyLoss").front());
  Run("third", {"--eval_on_load", "--stop_at=1"});
  EXPECT_EQ(MetricsOf("third").size(), 1u) << "nothing was loaded";
}

TEST_F(Trainer, StopsEarlyWhenTheLossIsHigh) {
  // With this learning rate the loss is the least at the first step.
  const Outcome outcome =
      Run("high", {"--early_stopping_factor=1", "--canceled_check_interval=2", "--optimizer.learning_rate=0.5"});
  ExpectParts(outcome.out, {"early_stopping_factor", "Stopped after step 4, because the loss"});
  EXPECT_EQ(fs::read_symlink(Save("high/latest")), "step4");
}

TEST_F(Trainer, SaysWhenNoStepIsLeft) {
  Run("first", {"--stop_at=4"});
  ExpectParts(Run("second", {"--load_path=" + Save("first/step4"), "--max_duration=3"}).out,
              {"no step is left to train: the run begins at step 4 and ends at step 3", "--reset_trainer_state"});
  const Outcome again = Run("first", {"--stop_at=4", "--try_load_latest_save"});
  ExpectParts(again.out, {"no step is left to train: the run begins at step 4 and ends at step 4"});
  EXPECT_EQ(again.out.find("--reset_trainer_state"), std::string::npos);
}

TEST_F(Trainer, SaysHowAnotherOptimizerBegins) {
  Run("run", {"--stop_at=2"});
  const std::vector<std::string> other = {"--optimizer.name=lionw", "--optimizer.learning_rate=1e-4"};
  const auto fails = [&](const std::string& save, std::vector<std::string> keys) {
    keys.insert(keys.end(), other.begin(), other.end());
    const Outcome outcome = RunCoat(Train(save, keys));
    EXPECT_NE(outcome.exit_code, 0);
    return outcome.err;
  };
  const std::string advice = "--load_path=" + Save("run/step2") + " --reset_optimizer_state with another save_folder";
  ExpectParts(fails("run", {"--try_load_latest_save"}), {advice});
  Run("new", {"--load_path=" + Save("run/step2"), "--reset_optimizer_state", other[0], other[1], "--stop_at=3"});
}

TEST_F(Trainer, TrainsForStepsTokensOrEpochs) {
  // 192 tokens a step, 6 steps an epoch.
  ExpectParts(Run("steps", {"--max_duration=7"}).out, {"[step=7/7,", "Finished at step 7"});
  ExpectParts(Run("tokens", {"--max_duration=1000T"}).out, {"Finished at step 5: 960 tokens"});
  ExpectParts(Run("epoch", {"--max_duration=1ep"}).out, {"[step=6/6,epoch=0]", "Finished at step 6"});
  ExpectParts(Run("after", {"--stop_after=2"}).out, {"[step=2/12,", "Finished at step 2"});
  Run("at", {"--stop_at=3"});
  ExpectParts(Run("at", {"--stop_after=2", "--try_load_latest_save"}).out, {"Finished at step 5"});
}

TEST_F(Trainer, StartsInTheEpochThatIsAskedFor) {
  ExpectParts(Run("epoch", {"--epoch=3", "--stop_at=7"}).out, {"[step=1/12,epoch=3]", "[step=7/12,epoch=4]"});
  Run("first", {"--stop_at=1"});
  EXPECT_NE(Numbers("epoch", "train/CrossEntropyLoss").front(), Numbers("first", "train/CrossEntropyLoss").front());
}

/// Ten roundings of double, 2^-53 of the peak of 1e-3 each.
constexpr double kRounding = 10 * 0x1p-53 * 1e-3;

TEST_F(Trainer, HasSchedulesInTokens) {
  Run("steps", {"--scheduler.t_warmup=4"});
  Run("tokens", {"--scheduler.units=tokens", "--scheduler.t_warmup=768"});
  const auto in_steps = LearningRates("steps");
  const auto in_tokens = LearningRates("tokens");
  ASSERT_EQ(in_steps.size(), in_tokens.size());
  for (std::size_t i = 0; i < in_steps.size(); ++i) EXPECT_NEAR(in_steps[i], in_tokens[i], kRounding) << i;
  Run("end", {"--scheduler.units=tokens", "--scheduler.t_warmup=768", "--scheduler.t_max=1536"});
  EXPECT_NEAR(LearningRates("end")[7], 1e-4, kRounding) << "alpha_f of the peak from t_max on";
  EXPECT_GT(in_steps[7], 2e-4);
}

TEST_F(Trainer, HasEverySchedule) {
  const auto rates = [&](const Strings& keys) {
    Strings overrides = {"--scheduler.t_warmup=2", "--max_duration=6"};
    overrides.insert(overrides.end(), keys.begin(), keys.end());
    overrides.push_back("--save_overwrite");
    Run("schedule", overrides);
    return LearningRates("schedule");
  };
  const auto expect = [](const std::vector<double>& found, const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], kRounding) << i;
  };
  // From a tenth of 1e-3 to it in 2 steps, then 4 to alpha_f of it; (1 + cos(pi p)) / 2 = 0.853553, 0.5, 0.146447, 0.
  const double q = (1.0 + 0.70710678118654752) / 2.0;
  const auto decayed = [](double share) { return 1e-4 + 9e-4 * share; };
  expect(rates({}), {5.5e-4, 1e-3, decayed(q), decayed(0.5), decayed(1 - q), 1e-4});
  expect(rates({"--scheduler.name=linear_with_warmup", "--scheduler.alpha_f=0"}),
         {5.5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4, 0});
  expect(
      rates({"--scheduler.name=inverse_sqrt_with_warmup", "--scheduler.warmup_min_lr=0"}),
      {5e-4, 1e-3, 1e-3 * std::sqrt(2.0 / 3), 1e-3 * std::sqrt(0.5), 1e-3 * std::sqrt(0.4), 1e-3 * std::sqrt(1.0 / 3)});
  expect(rates({"--scheduler.name=max_scheduler"}),
         {5.5e-4, 1e-3, decayed(q), 1e-3 * std::sqrt(0.5), 1e-3 * std::sqrt(0.4), 1e-3 * std::sqrt(1.0 / 3)});
  expect(rates({"--scheduler.name=constant"}), {1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3});
  expect(rates({"--scheduler.name=constant_with_warmup"}), {5.5e-4, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3});
  expect(rates({"--scheduler.name=cosine_linear_envelope"}),
         {5.5e-4, 1e-3, decayed(0.75 * q), decayed(0.25), decayed(0.25 * (1 - q)), 1e-4});
}

TEST_F(Trainer, WarmsClippingUp) {
  Run("small", {"--max_grad_norm=0.001", "--max_duration=12", "--stop_at=3"});
  Run("large", {"--max_duration=12", "--stop_at=3"});
  Run("warm", {"--scheduler.grad_clip_warmup_steps=3", "--scheduler.grad_clip_warmup_factor=0.001", "--stop_at=3"});
  EXPECT_EQ(Tensors("warm", "step3"), Tensors("small", "step3"));
  EXPECT_NE(Tensors("warm", "step3"), Tensors("large", "step3"));
  Run("over", {"--scheduler.grad_clip_warmup_steps=2", "--scheduler.grad_clip_warmup_factor=0.001", "--stop_at=3"});
  EXPECT_NE(Tensors("over", "step3"), Tensors("small", "step3")) << "the third step has the whole norm";
}

TEST_F(Trainer, ClipsToARatioOfTheAverageBeforeTheNorm) {
  Run("plain", {"--stop_at=4"});
  Run("ratio", {"--max_grad_norm_ratio=0.9", "--stop_at=4"});
  Run("both", {"--max_grad_norm_ratio=0.9", "--max_grad_norm=0.001", "--stop_at=4"});
  EXPECT_NE(Tensors("plain", "step4"), Tensors("ratio", "step4"));
  EXPECT_EQ(Tensors("ratio", "step4"), Tensors("both", "step4"));
  EXPECT_EQ(Numbers("ratio", "optim/grad_norm_exp_avg/transformer.wte.weight").size(), 1u);
  EXPECT_EQ(Numbers("ratio", "optim/clipping_rate").size(), 1u);
}

TEST_F(Trainer, LeavesElementsWithoutAGradientAlone) {
  // With a head of its own, the embedding of a token that no data have has no gradient.
  for (const bool selective : {false, true}) {
    const std::string save = selective ? "selective" : "all";
    Run(save, {"--model.weight_tying=false", "--optimizer.decay_embeddings", "--optimizer.weight_decay=0.5",
               "--stop_at=2", "--save_num_checkpoints_to_keep=-1",
               std::string("--optimizer.selective_updates=") + (selective ? "true" : "false")});
    const std::string name = "transformer.wte.weight";
    EXPECT_EQ(Row(save + "/step0", name, 127) == Row(save + "/step2", name, 127), selective);
    EXPECT_NE(Row(save + "/step0", name, 5), Row(save + "/step2", name, 5));
  }
}

TEST_F(Trainer, LogsAtItsInterval) {
  const Outcome outcome = Run("log", {"--console_log_interval=5", "--optimizer.metrics_log_interval=10"});
  EXPECT_EQ(Numbers("log", "step"), (std::vector<double>{5, 10, 12}));
  ExpectParts(outcome.out, {"[step=5/12,epoch=0]\n    optim/total_grad_norm=", "[step=12/12,epoch=1]"});
  EXPECT_EQ(outcome.out.find("[step=4/"), std::string::npos);
  // 40 sequences, 8 at a time.
  const std::size_t evaluation = outcome.out.find("Running evaluation for 'held-out'...");
  ASSERT_NE(evaluation, std::string::npos);
  ExpectParts(outcome.out.substr(evaluation), {"[eval_step=5/5]", "held-out\n    eval/held-out/CrossEntropyLoss="});
  EXPECT_EQ(outcome.out.find("[eval_step=4/5]"), std::string::npos);
  EXPECT_EQ(outcome.out.find("learning_rate"), std::string::npos) << "OLMo's console has one metric of the optimizer";
  const auto norms = Numbers("log", "optim/param/transformer.wte.weight.norm");
  EXPECT_EQ(norms.size(), 1u);
}

TEST_F(Trainer, LogsParametersAtAnIntervalOfTheirOwn) {
  Run("log", {"--console_log_interval=5", "--optimizer.metrics_log_interval=4"});
  EXPECT_EQ(Numbers("log", "step"), (std::vector<double>{4, 5, 8, 10, 12}));
  EXPECT_EQ(Numbers("log", "optim/grad/transformer.wte.weight.norm").size(), 3u);
  EXPECT_EQ(Numbers("log", "train/CrossEntropyLoss").size(), 3u);
}

TEST_F(Trainer, MeasuresUpdatesWhereTheyAreAskedFor) {
  Run("plain", {});
  Run("adamw", {"--optimizer.record_update_metrics"});
  EXPECT_EQ(Numbers("adamw", "optim/step/transformer.wte.weight.norm").size(), 3u);
  EXPECT_EQ(Numbers("adamw", "optim/step/transformer.blocks.1.ff_out.weight.max").size(), 3u);
  EXPECT_TRUE(Numbers("plain", "optim/step/transformer.wte.weight.norm").empty());
  EXPECT_EQ(Tensors("plain", "step12"), Tensors("adamw", "step12")) << "looking changes nothing";
  Run("lion", {"--optimizer.name=lionw", "--optimizer.learning_rate=1e-4", "--optimizer.record_update_metrics"});
  const auto cosines = Numbers("lion", "optim/update_cos_sim");
  ASSERT_EQ(cosines.size(), 3u);
  for (const double cosine : cosines) {
    EXPECT_GT(cosine, 0.1);
    EXPECT_LE(cosine, 1.0);
  }
}

TEST_F(Trainer, WeighsTheAuxiliaryLoss) {
  Run("less", {"--softmax_auxiliary_loss", "--stop_at=1"});
  Run("more", {"--softmax_auxiliary_loss", "--auxiliary_loss_multiplier=1e-3", "--stop_at=1"});
  Run("none", {"--stop_at=1"});
  const auto less = Numbers("less", "train/ZLoss");
  const auto more = Numbers("more", "train/ZLoss");
  ASSERT_EQ(less.size(), 1u);
  ASSERT_EQ(more.size(), 1u);
  EXPECT_DOUBLE_EQ(more[0], 10.0 * less[0]);
  EXPECT_NE(Tensors("less", "step1"), Tensors("none", "step1"));
  EXPECT_TRUE(Numbers("none", "train/ZLoss").empty());
}

TEST_F(Trainer, WritesNoDataIndicesWhereNoneAreWanted) {
  Run("without", {"--save_data_indices=false", "--stop_at=1"});
  Run("with", {"--stop_at=1"});
  EXPECT_FALSE(fs::exists(Save("without/data-indices")));
  EXPECT_TRUE(fs::exists(Save("with/data-indices/rank0.tsv.gz")));
}

TEST_F(Trainer, HasSeedsOfTheRunAndOfTheData) {
  Run("a", {"--stop_at=1"});
  Run("b", {"--stop_at=1", "--seed=7", "--data.seed=6198"});
  Run("c", {"--stop_at=1", "--data.seed=7"});
  const auto indices = [&](const std::string& save) { return folder_.Read(save + "/data-indices/rank0.tsv.gz"); };
  EXPECT_EQ(indices("a"), indices("b"));
  EXPECT_NE(indices("a"), indices("c"));
  EXPECT_NE(Tensors("a", "step0"), Tensors("b", "step0"));
  EXPECT_EQ(Tensors("a", "step0"), Tensors("c", "step0"));
}

TEST_F(Trainer, WritesAChromeTraceOfTheStepsThatOlmoProfiles) {
  Run("plain", {});
  const Outcome outcome = Run("run", {"--torch_profiling", "--save_interval=8", "--eval_interval=9"});
  ExpectParts(outcome.out,
              {"Profile by total CPU time at step 9:", "forward of block", "profiler/9.chrome_trace.json.gz"});
  EXPECT_EQ(outcome.out.find("GPU time"), std::string::npos);
  const PythonOutcome read = RunPython(
      "tests/chrome_trace.py",
      {Save("run/profiler/9.chrome_trace.json.gz"), "step=3", "data=3", "micro-batch=6", "forward of block=12",
       "backward of block=12", "head and loss=6", "gradient norms=3", "optimizer=3", "checkpoint=1", "evaluation=1"});
  EXPECT_EQ(read.exit_code, 0) << read.output;
  EXPECT_EQ(Tensors("plain", "step12"), Tensors("run", "step12")) << "profiles change nothing";

  // Cut short: what there is. The steps count from where the run starts.
  Run("short", {"--torch_profiling", "--stop_at=8"});
  const PythonOutcome cut =
      RunPython("tests/chrome_trace.py", {Save("short/profiler/8.chrome_trace.json.gz"), "step=2", "optimizer=2"});
  EXPECT_EQ(cut.exit_code, 0) << cut.output;
  ExpectParts(Run("short", {"--torch_profiling", "--try_load_latest_save"}).out,
              {"torch_profiling: no trace: the run took 4 steps from its start, and steps 7 to 9 are recorded"});
  EXPECT_FALSE(fs::exists(Save("short/profiler/12.chrome_trace.json.gz"))) << "four steps are too few";
}

TEST_F(Trainer, WritesWhatModulesComputeAtTheStepsThatAreAskedFor) {
  Run("plain", {});
  Run("run", {"--module_outputs_save_steps=[2,7]"});
  EXPECT_EQ(Tensors("plain", "step12"), Tensors("run", "step12")) << "looking changes nothing";
  std::set<std::string> steps;
  for (const auto& entry : fs::directory_iterator(Save("run/traces"))) steps.insert(entry.path().filename().string());
  EXPECT_EQ(steps, (std::set<std::string>{"step2", "step7"}));

  // Step 1 starts from step 0's parameters: the embedding's output is the rows of the tokens of the first sequences.
  Run("first", {"--module_outputs_save_steps=[1]", "--stop_at=1", "--precision=fp32"});
  const std::string folder = Save("first/traces/step1/");
  const SafetensorsReader embedded(folder + "transformer.wte.safetensors");
  EXPECT_EQ(embedded.Info("output").shape, (std::vector<std::int64_t>{4 * kLength, 64}));
  EXPECT_EQ(embedded.Info("output").dtype, "F32");
  std::set<std::string> rows;
  for (std::size_t row = 0; row < 100; ++row) rows.insert(Row("first/step0", "transformer.wte.weight", row));
  const auto bytes = embedded.Bytes("output");
  for (std::size_t token = 0; token < 4 * kLength; ++token) {
    EXPECT_TRUE(rows.count({reinterpret_cast<const char*>(bytes.data()) + token * 256, 256})) << token;
  }
  const SafetensorsReader block(folder + "transformer.blocks.1.safetensors");
  for (const char* name : {"attn_norm", "qkv", "attention", "ff_norm", "up_gate", "stream", "branch"}) {
    EXPECT_TRUE(block.Contains(name)) << name;
  }
  EXPECT_EQ(block.Info("qkv").shape, (std::vector<std::int64_t>{4 * kLength, 3 * 64}));
  // The loss of the step, of the first of two micro-batches here: 4 of 6 sequences.
  const SafetensorsReader loss(folder + "loss.safetensors");
  EXPECT_EQ(loss.Info("cross_entropy").shape, (std::vector<std::int64_t>{4 * kLength}));

  Run("recompute",
      {"--module_outputs_save_steps=[1]", "--stop_at=1", "--precision=fp32", "--activation_checkpointing=whole_layer"});
  EXPECT_EQ(folder_.Read("first/traces/step1/transformer.ln_f.safetensors"),
            folder_.Read("recompute/traces/step1/transformer.ln_f.safetensors"));
  EXPECT_TRUE(SafetensorsReader(Save("recompute/traces/step1/transformer.blocks.0.safetensors")).Contains("qkv"));
}

TEST_F(Trainer, PrintsWhereTheHostsTimeGoes) {
  const Outcome outcome = Run("run", {"--python_profiling"});
  ExpectParts(outcome.out, {"Profile of the host's time in steps 6 to 8:\nname ", "\nstep ", "\noptimizer "});
  EXPECT_FALSE(fs::exists(Save("run/profiler")));
  EXPECT_EQ(outcome.out.find("no table"), std::string::npos);
  ExpectParts(Run("short", {"--python_profiling", "--stop_at=5"}).out,
              {"python_profiling: no table: steps 6 to 8 are recorded, and this start took 5 steps, up to step 5"});
}

TEST_F(Trainer, MeasuresSpeedAndMemoryAsCoatDoes) {
  const auto run = [&](const char* variable) {
    const std::string save = variable;
    Outcome outcome = RunCoat(Train(save, {"--save_interval=null", "--optimizer.metrics_log_interval=5"}),
                              [&] { ::setenv(variable, "1", 1); });
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(Numbers(save, "step").back(), 10) << "it ends right after step 10";
    EXPECT_EQ(Numbers(save, "optim/param/transformer.wte.weight.norm").size(), 2u);
    EXPECT_FALSE(fs::exists(Save(save + "/step10")));
    return outcome.out;
  };
  const std::string speed = run("SPEED_BENCH");
  const std::size_t at = speed.find("Training Speed: ");
  ASSERT_NE(at, std::string::npos) << speed;
  EXPECT_GT(std::strtod(speed.c_str() + at + 16, nullptr), 0.0);
  ExpectParts(speed, {" token / s.\n"});

  Run("resumed", {"--stop_at=2"});
  const Outcome resumed = RunCoat(Train("resumed", {"--try_load_latest_save", "--max_duration=20"}),
                                  [] { ::setenv("SPEED_BENCH", "1", 1); });
  ExpectParts(resumed.out, {"the run ends right after step 12", "Training Speed: "});

  const std::string memory = run("MEMORY_BENCH");
  const auto megabytes = [&](const std::string& name) {
    const std::size_t line = memory.find(name + ": ");
    EXPECT_NE(line, std::string::npos) << name;
    return std::strtod(memory.c_str() + line + name.size() + 2, nullptr);
  };
  // 2 layers: 4 64^2 + 3 64 128 each; 128 rows of embedding. AdamW: two moments. Written with one digit.
  const double parameters = 4e-6 * (2 * (4 * 64 * 64 + 3 * 64 * 128) + 128 * 64);
  EXPECT_NEAR(megabytes("Gradient Memory"), parameters, 0.05);
  EXPECT_NEAR(megabytes("Optimizer Memory"), 2 * parameters, 0.05);
  EXPECT_GT(megabytes("Model Memory"), parameters - 0.05);
  const double sum = megabytes("Model Memory") + megabytes("Activation Memory") + megabytes("Optimizer Memory") +
                     megabytes("Gradient Memory");
  EXPECT_GT(megabytes("Peak Memory Usage"), sum) << "workspaces come on top";
  ExpectFailure(RunCoat(Train("bad"), [] { ::setenv("SPEED_BENCH", "maybe", 1); }), 2,
                {"SPEED_BENCH", "maybe", "true"});
}

}  // namespace
}  // namespace coat
