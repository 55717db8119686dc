#pragma once
// A model, questions and results of `coat eval` for tests.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/safetensors.h"
#include "config/dump.h"
#include "models/olmo.h"
#include "tests/support/coat_process.h"
#include "tests/support/one_rank.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_olmo.h"
#include "tests/support/whole_tensors.h"

namespace coat {

class EvalFolders : public testing::Test {
 protected:
  EvalFolders() : model_(WriteModel("run")) {}

  static std::string Questions() { return SourceDir() + "/tests/eval/questions.jsonl"; }
  std::string File(std::string_view name) const { return folder_.File(name); }

  /// Runs `coat eval` on the CPU; results go to the files `name`.json and `name`.jsonl.
  Outcome Run(const std::string& from, const std::string& name, std::vector<std::string> options) const {
    options.insert(options.begin(), {"eval", from, "--device=cpu", "--threads=" + std::to_string(threads_), "--output",
                                     File(name + ".json"), "--details", File(name + ".jsonl")});
    return RunCoat(options);
  }
  /// Evaluates the model on the questions.
  Outcome RunQuestions(const std::string& name, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"--requests", "questions=" + Questions()});
    return Run(model_, name, options);
  }
  /// The same where it must succeed.
  void Score(const std::string& name, const std::vector<std::string>& options = {}) const {
    const Outcome outcome = RunQuestions(name, options);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// A checkpoint of the golden OLMo, whose tokenizer is bytes; or one that has diverged.
  std::string WriteModel(std::string_view name, bool has_diverged = false) const {
    TrainConfig config;
    config.run_name = "test";
    config.precision = Precision::kAmpBf16;
    config.model = TinyOlmo();
    config.tokenizer.identifier = "bytes";
    const SafetensorsReader golden(SourceDir() + "/tests/golden/olmo_tiny.safetensors");
    std::vector<TensorInfo> tensors;
    for (const Parameter& parameter : OlmoParameters(config.model)) tensors.push_back(golden.Info(parameter.name));
    CheckpointWriter writer(File(name), {.step = 7}, IfExists::kRefuse, OneRank());
    std::vector<std::byte> ones;
    writer.AddTensors("model.safetensors", WholeTensors(tensors), [&](std::size_t index, Part) {
      const std::span<const std::byte> bytes = golden.Bytes(tensors[index].name);
      ones.assign(bytes.size(), std::byte{0xff});  // NaN in every type
      return has_diverged ? std::span<const std::byte>(ones) : bytes;
    });
    writer.Commit({}, Dump(config));
    return writer.path();
  }

  TempDir folder_;
  std::string model_;
  int threads_ = 2;
};

}  // namespace coat
