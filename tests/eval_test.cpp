// `coat eval` and evaluation in training, against transformers and against each other.

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/safetensors.h"
#include "config/dump.h"
#include "models/olmo.h"
#include "tests/support/coat_process.h"
#include "tests/support/python.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_olmo.h"

namespace coat {
namespace {

using nlohmann::json;

class Eval : public testing::Test {
 protected:
  Eval() : model_(WriteModel()) {}

  static std::string Questions() { return SourceDir() + "/tests/questions.jsonl"; }
  std::string File(std::string_view name) const { return folder_.File(name); }

  /// A checkpoint of the golden OLMo.
  std::string WriteModel() const {
    TrainConfig config;
    config.run_name = "test";
    config.precision = Precision::kAmpBf16;
    config.model = TinyOlmo();
    config.tokenizer.identifier = "bytes";
    const SafetensorsReader golden(SourceDir() + "/tests/golden/olmo_tiny.safetensors");
    std::vector<TensorInfo> tensors;
    for (const Parameter& parameter : OlmoParameters(config.model)) tensors.push_back(golden.Info(parameter.name));
    CheckpointWriter writer(File("run"), {.step = 7}, IfExists::kRefuse);
    writer.AddSafetensors("model.safetensors", tensors, {{"format", "pt"}}, [&](SafetensorsWriter& file) {
      for (const TensorInfo& info : file.tensors()) file.Write(info.name, golden.Bytes(info.name));
    });
    writer.Commit({}, Dump(config));
    return writer.path();
  }

  /// Runs `coat eval` on the CPU; results go to the files `name`.json and `name`.jsonl.
  Outcome Run(const std::string& model, const std::string& name, std::vector<std::string> options) const {
    options.insert(options.begin(), {"eval", model, "--device=cpu", "--threads=2", "--output", File(name + ".json"),
                                     "--details", File(name + ".jsonl")});
    return RunCoat(options);
  }
  Outcome RunQuestions(const std::string& name, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"--requests", "questions=" + Questions()});
    return Run(model_, name, options);
  }

  json Result(const std::string& name) const { return json::parse(folder_.Read(name + ".json")); }
  std::vector<double> LogLikelihoods(const std::string& name) const {
    std::istringstream lines(folder_.Read(name + ".jsonl"));
    std::vector<double> values;
    for (std::string line; std::getline(lines, line);) values.push_back(json::parse(line)["log_likelihood"]);
    return values;
  }

  /// What transformers says of a result; `tolerance` is that of a log-likelihood.
  void ExpectTransformersAgrees(const std::string& name, double tolerance, double margin) const {
    const Outcome converted = RunCoat({"convert", model_, File("hf"), "--overwrite"});
    ASSERT_EQ(converted.exit_code, 0) << converted.err;
    const PythonOutcome outcome =
        RunPython("tests/rank_classification.py", {File("hf"), Questions(), File(name + ".jsonl"), File(name + ".json"),
                                                   std::to_string(tolerance), std::to_string(margin)});
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }

  TempDir folder_;
  std::string model_;
};

TEST_F(Eval, InFloat32ScoresAsTransformersDoes) {
  const Outcome outcome = RunQuestions("f32", {"--precision=fp32"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Result("f32")["evaluations"][0]["precision"], "f32");
  ExpectTransformersAgrees("f32", 1e-4, 1e-4);
}

}  // namespace
}  // namespace coat
