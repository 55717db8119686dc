// A run that goes on from OLMo's files as from its own.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "tests/support/coat_process.h"
#include "tests/support/error_of.h"
#include "tests/support/python.h"

namespace coat {
namespace {

/// A run of 8 steps, saved at the fourth and the eighth.
class ContinuedRun : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 generator(3);
    std::string tokens;
    for (int i = 0; i < 32 * 40; ++i) tokens += {static_cast<char>(generator() % 100), '\0'};
    config_ = folder_.Write(
        "run.yaml", fmt::format("run_name: test\n"
                                "model: {{d_model: 64, n_heads: 2, n_layers: 2, mlp_ratio: 4, rope: true,\n"
                                "        include_bias: false, layer_norm_with_affine: false, attention_dropout: 0,\n"
                                "        residual_dropout: 0, embedding_dropout: 0, max_sequence_length: 32,\n"
                                "        vocab_size: 100, embedding_size: 128, eos_token_id: 99, pad_token_id: 99}}\n"
                                "optimizer: {{name: adamw, learning_rate: 1e-3, eps: 1e-8}}\n"
                                "scheduler: {{t_warmup: 3}}\n"
                                "data: {{paths: [{}], drop_last: true}}\n"
                                "precision: amp_bf16\n"
                                "global_train_batch_size: 8\n"
                                "device_train_microbatch_size: 4\n"
                                "max_duration: 8\n"
                                "max_grad_norm: 1.0\n"
                                "max_grad_norm_ratio: 0.9\n"
                                "save_interval: 4\n",
                                folder_.Write("train.npy", tokens)));
    const Outcome outcome = Run("run", {});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  Outcome Run(const std::string& save, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"train", config_, "--device=cpu", "--save_folder=" + folder_.File(save)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCoat(arguments);
  }

  /// The checkpoint of the fourth step as OLMo would have written it; false without torch.
  [[nodiscard]] bool MakeNative(const std::string& form) const {
    std::filesystem::remove_all(folder_.File("native"));
    const PythonOutcome outcome =
        RunPython("tests/convert/native_training.py", {folder_.File("run/step4"), folder_.File("native"), form});
    if (outcome.exit_code == kPythonSkips) return false;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    folder_.Write("native/config.yaml", folder_.Read("run/step4/config.yaml"));
    return true;
  }

  TempDir folder_;
  std::string config_;
};

TEST_F(ContinuedRun, GoesOnFromOlmosFilesAsFromItsOwn) {
  for (const std::string form : {"fsdp", "ddp", "fsdp-safetensors", "ddp-safetensors", "plain-safetensors"}) {
    if (!MakeNative(form)) GTEST_SKIP() << "no torch";
    const char* const extension = form.ends_with("-safetensors") ? "safetensors" : "pt";
    const Outcome converted = RunCoat({"convert", folder_.File("native"), folder_.File("model"), "--overwrite"});
    ASSERT_EQ(converted.exit_code, 0) << converted.err;
    ExpectParts(converted.out, {"taken over: " + folder_.File(fmt::format("native/optim.{}", extension)),
                                "taken over: " + folder_.File(fmt::format("native/train.{}", extension))});
    const TrainerState before = CheckpointReader(folder_.File("run/step4")).state();
    const TrainerState after = CheckpointReader(folder_.File("model")).state();
    EXPECT_EQ(after.step, 4);
    EXPECT_EQ(after.epoch, before.epoch);
    EXPECT_EQ(after.examples_seen_this_epoch, before.examples_seen_this_epoch);
    EXPECT_EQ(after.examples_seen, before.examples_seen);
    EXPECT_EQ(after.tokens_seen, before.tokens_seen);
    EXPECT_EQ(after.extra.updates, 4);

    std::filesystem::remove_all(folder_.File("more"));
    const Outcome outcome = Run("more", {"--load_path=" + folder_.File("model")});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    for (const char* const file : {"model.safetensors", "optim.safetensors"}) {
      EXPECT_TRUE(folder_.Read(fmt::format("more/step8/{}", file)) == folder_.Read(fmt::format("run/step8/{}", file)))
          << form << ": " << file << " differs";
    }
  }
}

TEST_F(ContinuedRun, LeavesTheRunBehindWhenTold) {
  if (!MakeNative("fp8")) GTEST_SKIP() << "no torch";
  const Outcome converted = RunCoat({"convert", folder_.File("native"), folder_.File("model"), "--weights_only"});
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  ExpectParts(converted.out, {"not taken over: " + folder_.File("native/optim.pt"),
                              "not taken over: " + folder_.File("native/train.pt")});
  const CheckpointReader model(folder_.File("model"));
  EXPECT_EQ(model.state().step, 0);
  EXPECT_FALSE(model.Contains("optim.safetensors"));
  const Outcome exported = RunCoat({"convert", folder_.File("run/step4"), folder_.File("hf")});
  ExpectParts(exported.out, {"not taken over: " + folder_.File("run/step4/optim.safetensors")});
}

TEST_F(ContinuedRun, TakesTheStateOfLionW) {
  if (!MakeNative("lionw")) GTEST_SKIP() << "no torch";
  ASSERT_EQ(RunCoat({"convert", folder_.File("native"), folder_.File("model")}).exit_code, 0);
  const Outcome outcome = Run("more", {"--load_path=" + folder_.File("model"), "--optimizer.name=lionw"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const SafetensorsReader before(folder_.File("run/step4/optim.safetensors"));
  const SafetensorsReader after(folder_.File("model/optim.safetensors"));
  EXPECT_FALSE(after.Contains("transformer.wte.weight.exp_avg_sq"));
  EXPECT_TRUE(std::ranges::equal(before.Bytes("transformer.wte.weight.exp_avg"),
                                 after.Bytes("transformer.wte.weight.exp_avg")));
}

TEST_F(ContinuedRun, RefusesStatesOfAnotherOptimizerOrModel) {
  const auto expect = [&](const std::string& form, std::string_view part) {
    for (const std::string kind : {"", "-safetensors"}) {
      if (!MakeNative(form + kind)) GTEST_SKIP() << "no torch";
      ExpectFailure(RunCoat({"convert", folder_.File("native"), folder_.File("model")}), 1,
                    {kind.empty() ? "native/optim.pt: " : "native/optim.safetensors: ", part,
                     "(--weights_only converts without"});
      EXPECT_FALSE(std::filesystem::exists(folder_.File("model")));
    }
  };
  expect("fp8", "found \"scale_exp_avg\"; accepted: step, exp_avg, exp_avg_sq, grad_norm_exp_avg");
  expect("unequal", "that of others is 5");
  expect("missing", "no state of \"transformer.wte.weight\"");
  expect("stepless", "the state of \"transformer.wte.weight\": no step");
  expect("shape", "is float32 [8192]; expected float32 [128, 64]");
}

}  // namespace
}  // namespace coat
