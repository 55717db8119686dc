// Fine-tuning with the built `coat`: a converted model, instructions with label masks, documents, the repetition
// filter.

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "checkpoint/directory.h"
#include "tests/convert/model_folders.h"
#include "tests/support/coat_process.h"
#include "tests/support/python.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLength = 48;
constexpr std::uint16_t kEnd = 256;  // of an example

/// A model as transformers would have it, converted, and a configuration that trains it on questions and answers.
class FineTuning : public ModelFolders {
 protected:
  void SetUp() override {
    const Outcome to_hf = RunCoat({"convert", Checkpoint(TinyOlmo(), GoldenWeights()), File("hf")});
    ASSERT_EQ(to_hf.exit_code, 0) << to_hf.err;
    const Outcome from_hf = RunCoat({"convert", File("hf"), File("model")});
    ASSERT_EQ(from_hf.exit_code, 0) << from_hf.err;
    WriteConfig(Examples());
  }

  struct Example {
    std::string prompt, response;
  };
  static std::vector<Example> Examples() {
    std::vector<Example> examples;
    for (int a = 0; a < 10; ++a) {
      for (int b = 0; b < 10; ++b) {
        examples.push_back({fmt::format("{}+{}=", a, b), fmt::format("{}.", a + b)});
      }
    }
    return examples;
  }

  /// Examples packed into sequences, as the documents say that data are made, and the configuration that names them.
  void WriteConfig(const std::vector<Example>& examples) {
    tokens_.clear();
    mask_.clear();
    for (const Example& example : examples) {
      const std::string text = example.prompt + example.response;
      if (tokens_.size() % kLength + text.size() + 1 > kLength) Fill();
      for (std::size_t i = 0; i < text.size(); ++i) {
        tokens_.push_back(static_cast<std::uint8_t>(text[i]));
        mask_ += i < example.prompt.size() ? '\0' : '\1';
      }
      tokens_.push_back(kEnd);
      mask_ += '\1';
    }
    Fill();
    WriteTokens();
    folder_.Write("mask.npy", mask_);
    config_ = folder_.Write(
        "run.yaml",
        "run_name: instructions\n"
        "model: {d_model: 128, n_heads: 2, n_layers: 2, mlp_ratio: 8, rope: true, include_bias: false,\n"
        "        layer_norm_with_affine: false, attention_dropout: 0, residual_dropout: 0, embedding_dropout: 0,\n"
        "        max_sequence_length: 48, vocab_size: 500, embedding_size: 512, eos_token_id: 256,\n"
        "        pad_token_id: 256}\n"
        "optimizer: {name: adamw, learning_rate: 2e-3, eps: 1e-8}\n"
        "scheduler: {t_warmup: 2}\n"
        "data: {paths: [" +
            File("tokens.npy") + "], label_mask_paths: [" + File("mask.npy") +
            "], generate_doc_lengths: true}\n"
            "evaluators:\n"
            "- {label: held-out, data: {paths: [" +
            File("tokens.npy") + "], label_mask_paths: [" + File("mask.npy") +
            "], generate_doc_lengths: true}}\n"
            "precision: amp_bf16\n"
            "global_train_batch_size: 4\n"
            "device_train_microbatch_size: 2\n"
            "device_eval_batch_size: 8\n"
            "eval_interval: 20\n"
            "max_duration: 20\n"
            "max_grad_norm: 1.0\n"
            "save_interval: 5\n"
            "load_path: " +
            File("model") +
            "\n"
            "reset_optimizer_state: true\n"
            "reset_trainer_state: true\n");
  }
  void Fill() {
    while (tokens_.size() % kLength != 0) {
      tokens_.push_back(kEnd);
      mask_ += '\0';
    }
  }
  void WriteTokens() {
    folder_.Write("tokens.npy", {reinterpret_cast<const char*>(tokens_.data()), tokens_.size() * 2});
  }

  std::vector<std::string> Train(const std::string& save, std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), {"train", config_, "--save_folder=" + File(save), "--device=cpu"});
    return overrides;
  }

  std::string WholeDataAsABatch() const {
    return "--global_train_batch_size=" + std::to_string(tokens_.size() / kLength);
  }

  /// One metric of every line of metrics.jsonl that has it.
  std::vector<double> Metric(const std::string& save, const std::string& name) const {
    std::vector<double> values;
    std::istringstream lines(folder_.Read(save + "/metrics.jsonl"));
    const std::string key = "\"" + name + "\":";
    for (std::string line; std::getline(lines, line);) {
      const std::size_t at = line.find(key);
      if (at != std::string::npos) values.push_back(std::strtod(line.c_str() + at + key.size(), nullptr));
    }
    return values;
  }

  std::vector<std::uint16_t> tokens_;
  std::string mask_;
  std::string config_;
};

TEST_F(FineTuning, LearnsTheAnswersOfAConvertedModel) {
  const Outcome outcome = RunCoat(Train("run", {"--max_duration=60"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"with label masks; attention stays within documents, which end with token 256",
                            "without the optimizer's state"});
  const std::vector<double> losses = Metric("run", "train/CrossEntropyLoss");
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_LT(losses.back(), 0.5 * losses.front());
  const std::vector<double> evaluations = Metric("run", "eval/held-out/CrossEntropyLoss");
  ASSERT_EQ(evaluations.size(), 3u);
  EXPECT_LT(evaluations.back(), 0.5 * losses.front());
}

TEST_F(FineTuning, GoesOnBitForBitWithTheSameFile) {
  // The file says reset_optimizer_state and reset_trainer_state: they are for load_path, not for the run's own saves.
  ASSERT_EQ(RunCoat(Train("whole")).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("parts", {"--stop_at=8"})).exit_code, 0);
  const Outcome rest = RunCoat(Train("parts", {"--try_load_latest_save"}));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  ExpectParts(rest.out, {"Loaded " + File("parts/step8") + ": step 8"});
  EXPECT_EQ(Metric("whole", "train/CrossEntropyLoss"), Metric("parts", "train/CrossEntropyLoss"));
  EXPECT_EQ(Metric("whole", "eval/held-out/CrossEntropyLoss").back(),
            Metric("parts", "eval/held-out/CrossEntropyLoss").back());
  for (const char* file : {"/step20/model.safetensors", "/step20/optim.safetensors"}) {
    EXPECT_EQ(folder_.Read(std::string("whole") + file), folder_.Read(std::string("parts") + file)) << file;
  }
}

TEST_F(FineTuning, TakesNoLossOverMaskedTokens) {
  // Other prompts that the mask hides, which later tokens cannot see either, change no loss.
  const std::vector<std::string> one_step = {"--max_duration=1", "--eval_interval=1", WholeDataAsABatch()};
  ASSERT_EQ(RunCoat(Train("before", one_step)).exit_code, 0);
  std::fill(mask_.begin(), mask_.begin() + kLength, '\0');
  folder_.Write("mask.npy", mask_);
  ASSERT_EQ(RunCoat(Train("masked", one_step)).exit_code, 0);
  std::fill(tokens_.begin(), tokens_.begin() + kLength, std::uint16_t{77});
  WriteTokens();
  ASSERT_EQ(RunCoat(Train("changed", one_step)).exit_code, 0);
  const std::string metric = "eval/held-out/CrossEntropyLoss";
  EXPECT_NE(Metric("before", "train/CrossEntropyLoss"), Metric("masked", "train/CrossEntropyLoss"));
  EXPECT_EQ(Metric("masked", "train/CrossEntropyLoss"), Metric("changed", "train/CrossEntropyLoss"));
  EXPECT_NE(Metric("before", metric), Metric("masked", metric));
  EXPECT_EQ(Metric("masked", metric), Metric("changed", metric));
}

TEST_F(FineTuning, KeepsAttentionWithinDocumentsWhereAsked) {
  const std::vector<std::string> one_step = {"--max_duration=1"};
  ASSERT_EQ(RunCoat(Train("within", one_step)).exit_code, 0);
  ASSERT_EQ(RunCoat(Train("across", {"--max_duration=1", "--data.generate_doc_lengths=false"})).exit_code, 0);
  EXPECT_NE(Metric("within", "train/CrossEntropyLoss"), Metric("across", "train/CrossEntropyLoss"));
}

TEST_F(FineTuning, LeavesSequencesThatRepeatThemselvesOutOfTheLoss) {
  const std::vector<std::string> filter = {"--max_duration=1", "--data.instance_filter={}",
                                           "--data.instance_filter.repetition_max_count=8", WholeDataAsABatch()};
  ASSERT_EQ(RunCoat(Train("few", filter)).exit_code, 0);
  const std::vector<double> before = Metric("few", "train/masked_instances_local_rank");
  ASSERT_EQ(before.size(), 1u);
  EXPECT_LE(before[0], 1.0) << "the last sequence may be mostly padding, no other";
  for (std::size_t i = 0; i < 24; ++i) tokens_[kLength + 5 + i] = static_cast<std::uint16_t>("abc"[i % 3]);
  WriteTokens();
  const Outcome outcome = RunCoat(Train("some", filter));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"without labels where 1 to 13 tokens are there 8 times in a row"});
  EXPECT_EQ(Metric("some", "train/masked_instances_local_rank"), std::vector<double>{before[0] + 1.0});
  // Its tokens are nobody's labels: others there give the same loss, as long as they repeat themselves.
  std::fill(tokens_.begin() + kLength + 29, tokens_.begin() + kLength + 40, std::uint16_t{78});
  WriteTokens();
  ASSERT_EQ(RunCoat(Train("others", filter)).exit_code, 0);
  EXPECT_EQ(Metric("some", "train/CrossEntropyLoss"), Metric("others", "train/CrossEntropyLoss"));
  EXPECT_NE(Metric("some", "train/CrossEntropyLoss"), Metric("few", "train/CrossEntropyLoss"));
}

TEST_F(FineTuning, SkipsStepsWithoutLabelsAndEndsWhereThereIsNothingElse) {
  folder_.Write("mask.npy", std::string(mask_.size(), '\0'));
  ExpectFailure(RunCoat(Train("run")), 1,
                {"step 3 is skipped, 3 in a row", "no token of it has a label", "max_skipped_steps is reached",
                 "data.label_mask_paths"});
  EXPECT_EQ(Metric("run", "train/skipped_steps"), (std::vector<double>{1, 2, 3}));
}

TEST_F(FineTuning, SaysThatAnEvaluationHasNoLabels) {
  folder_.Write("none.npy", std::string(mask_.size(), '\0'));
  const Outcome outcome = RunCoat(Train("run", {"--evaluators=[{label: blank, data: {paths: [" + File("tokens.npy") +
                                                    "], label_mask_paths: [" + File("none.npy") + "]}}]",
                                                "--max_duration=1"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"'blank' measures nothing: no token of its data has a label", "label_mask_paths"});
}

TEST_F(FineTuning, NamesWhatDoesNotFit) {
  ExpectFailure(RunCoat(Train("a", {"--reset_optimizer_state=false"})), 2,
                {"load_path", File("model"), "no optimizer state", "reset_optimizer_state: true"});
  ExpectFailure(RunCoat(Train("b", {"--model.n_heads=4"})), 2,
                {"--model.n_heads", "found 4", "accepted: 2", File("model") + "/config.yaml"});
  ExpectFailure(RunCoat(Train("c", {"--model.vocab_size=100", "--model.eos_token_id=99", "--model.pad_token_id=99"})),
                1, {"tokens.npy", "the vocabulary has 100 ids"});
  folder_.Write("mask.npy", mask_.substr(kLength));
  ExpectFailure(RunCoat(Train("d")), 1, {"mask.npy", "its token file", "one byte a token"});
  mask_[7] = '\2';
  folder_.Write("mask.npy", mask_);
  ExpectFailure(RunCoat(Train("e", {"--global_train_batch_size=10"})), 1, {"mask.npy: byte 7 is 2"});
  folder_.Write("mask.npy", std::string("\x93NUMPY\x01\x00", 8) + mask_);
  ExpectFailure(RunCoat(Train("f")), 1, {"mask.npy", "header of NumPy's .npy format", "tofile"});
}

TEST_F(FineTuning, TrainsOnWhatTheScriptMakesOfPromptsAndResponses) {
  std::string lines;
  for (const Example& example : Examples()) {
    lines += fmt::format("{{\"prompt\": \"{}\", \"response\": \"{}\"}}\n", example.prompt, example.response);
  }
  folder_.Write("examples.jsonl", lines);
  const std::vector<std::uint16_t> expected_tokens = tokens_;
  const std::string expected_mask = mask_;
  const PythonOutcome outcome =
      RunPython("scripts/prepare_instructions.py",
                {"--tokenizer", "bytes", "--length", "48", "--pack", File("examples.jsonl"), File("made")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  ExpectParts(outcome.output, {"100 examples, 0 of them cut, 0 left out", "uint16", "end of text 256"});
  EXPECT_EQ(folder_.Read("made-tokens.npy"), folder_.Read("tokens.npy"));
  EXPECT_EQ(folder_.Read("made-mask.npy"), expected_mask);
  const PythonOutcome again =
      RunPython("scripts/prepare_instructions.py",
                {"--tokenizer", "bytes", "--length", "48", "--pack", File("examples.jsonl"), File("made")});
  EXPECT_EQ(again.exit_code, 1);
  ExpectParts(again.output, {"made-tokens.npy exists", "--overwrite"});

  const PythonOutcome below = RunPython(
      "scripts/prepare_instructions.py",
      {"--tokenizer", "bytes", "--length", "48", "--pack", File("examples.jsonl"), File("a new/folder/made")});
  EXPECT_EQ(below.exit_code, 0) << below.output;
  EXPECT_EQ(folder_.Read("a new/folder/made-mask.npy"), expected_mask);

  // One example a sequence, cut where it is too long; one without any label within the sequence is left out.
  folder_.Write(
      "few.jsonl",
      "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"bot\", \"content\": \"bcd\"}]}\n"
      "\n"
      "{\"prompt\": \"0123456789012345678901234567890\", \"response\": \"never seen\"}\n"
      "{\"prompt\": \"e\", \"response\": \"f\"}\n");
  const PythonOutcome few = RunPython(
      "scripts/prepare_instructions.py",
      {"--tokenizer", "bytes", "--length", "20", "--pad", "9", "--overwrite", File("few.jsonl"), File("made")});
  ASSERT_EQ(few.exit_code, 0) << few.output;
  ExpectParts(few.output, {"3 examples, 2 of them cut, 1 left out: 2 sequences of 20"});
  const std::string bytes = folder_.Read("made-tokens.npy");
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 2) text += bytes[i + 1] == 0 ? bytes[i] : '$';
  EXPECT_EQ(text, "<|user|>\na\n<|bot|>\nbef$" + std::string(17, '\t'));
  EXPECT_EQ(folder_.Read("made-mask.npy"),
            std::string(19, '\0') + '\1' + '\0' + std::string(2, '\1') + std::string(17, '\0'));

  folder_.Write("bad.jsonl", "{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"a\"}\n");
  const PythonOutcome bad = RunPython("scripts/prepare_instructions.py",
                                      {"--tokenizer", "bytes", "--length", "20", File("bad.jsonl"), File("none")});
  EXPECT_EQ(bad.exit_code, 1);
  ExpectParts(bad.output, {"bad.jsonl:2", "`response`"});
  EXPECT_FALSE(fs::exists(File("none-tokens.npy")));
  EXPECT_FALSE(fs::exists(File("none-tokens.npy.tmp")));

  // The second of the two files cannot be begun.
  fs::create_directory(File("half-mask.npy.tmp"));
  const PythonOutcome half = RunPython("scripts/prepare_instructions.py",
                                       {"--tokenizer", "bytes", "--length", "20", File("few.jsonl"), File("half")});
  EXPECT_EQ(half.exit_code, 1);
  ExpectParts(half.output, {"prepare_instructions.py: ", "half-mask.npy.tmp"});
  EXPECT_FALSE(fs::exists(File("half-tokens.npy.tmp")));
  EXPECT_FALSE(fs::exists(File("half-tokens.npy")));
}

}  // namespace
}  // namespace coat
