// `coat eval` and evaluation in training: against transformers, and against each other.

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/eval/eval_folders.h"
#include "tests/support/python.h"
#include "tests/support/rounding.h"

namespace coat {
namespace {

using nlohmann::json;

class Eval : public EvalFolders {
 protected:
  json Result(const std::string& name) const { return json::parse(folder_.Read(name + ".json")); }
  /// A metric of the first evaluation.
  double Metric(const std::string& name, const std::string& metric) const {
    return Result(name)["evaluations"][0]["metrics"].at(metric);
  }
  static std::vector<json> Lines(const std::string& text) {
    std::istringstream stream(text);
    std::vector<json> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
    return lines;
  }
  std::vector<json> Details(const std::string& name) const { return Lines(folder_.Read(name + ".jsonl")); }

  /// The largest difference of two results' log-likelihoods, divided by the tokens that each is the sum of.
  double LargestDifference(const std::string& a, const std::string& b) const {
    const std::vector<json> of_a = Details(a);
    const std::vector<json> of_b = Details(b);
    EXPECT_EQ(of_a.size(), of_b.size());
    double largest = 0.0;
    for (std::size_t i = 0; i < of_a.size(); ++i) {
      const double difference = of_a[i]["log_likelihood"].get<double>() - of_b[i]["log_likelihood"].get<double>();
      largest = std::max(largest, std::abs(difference) / of_a[i]["tokens"].get<double>());
    }
    return largest;
  }
};

/// How far two float32 computations of a token's logarithm may be apart: logits of this model have a root mean square
/// near 1.
double OfToken() {
  const ModelConfig model = TinyOlmo();
  return kStandardDeviations * kOfTwo * ForwardRounding(model, static_cast<double>(model.max_sequence_length));
}

TEST_F(Eval, InFloat32ScoresAsTransformersDoes) {
  Score("f32", {"--precision=fp32"});
  EXPECT_EQ(Result("f32")["evaluations"][0]["precision"], "f32");
  const Outcome converted = RunCoat({"convert", model_, File("hf")});
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  // A log-likelihood is a sum of up to 52 tokens' logarithms.
  const std::string tolerance = fmt::format("{}", std::sqrt(52.0) * OfToken());
  const PythonOutcome outcome =
      RunPython("tests/eval/rank_classification.py",
                {File("hf"), Questions(), File("f32.jsonl"), File("f32.json"), tolerance, tolerance});
  if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

/// OLMo's own loss, float32 in PyTorch: a mean over 4 x 127 positions of logarithms from logits of magnitude below 64,
/// whose roundings are 2^-18 at the most and have no common sign.
TEST_F(Eval, OfTokenFilesGivesOlmosLoss) {
  const SafetensorsReader golden(SourceDir() + "/tests/golden/olmo_tiny.safetensors");
  const auto ids = golden.Bytes("tokens", "I32", {4, 128});
  float expected = 0.0f;
  std::memcpy(&expected, golden.Bytes("loss", "F32", {1}).data(), sizeof expected);
  std::string tokens;
  for (std::size_t i = 0; i < ids.size(); i += 4) {
    tokens += static_cast<char>(ids[i]);
    tokens += static_cast<char>(ids[i + 1]);
  }
  folder_.Write("all.npy", tokens);
  const Outcome outcome = Run(model_, "loss",
                              {"--data", "whole=" + File("all.npy"), "--precision=fp32",
                               "--model.max_sequence_length=128", "--device_eval_batch_size=3"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NEAR(Metric("loss", "eval/whole/CrossEntropyLoss"), expected, 0x1p-18);
  EXPECT_NEAR(Metric("loss", "eval/whole/Perplexity"), std::exp(expected), 0x1p-18 * 2 * std::exp(expected));
}

/// Differences of a token's logarithm, from the root mean squares of relative errors and logits that spread by about 8.
/// bfloat16: 2^-9 / sqrt(3) for each of some 23 roundings one after the other. E4M3: 2^-4 / sqrt(3) for either operand
/// of a product, eight products, each a part of about a quarter of the stream that reaches the head.
TEST_F(Eval, InShorterTypesComesAsCloseAsTheirRounding) {
  Score("f32", {"--precision=fp32"});
  Score("bf16");
  Score("fp8", {"--quantize_model.use_quantize_model=coat_real", "--recipe=training"});
  EXPECT_EQ(Result("bf16")["evaluations"][0]["precision"], "bf16");
  EXPECT_EQ(Result("fp8")["evaluations"][0]["precision"], "coat_real");
  const double of_bf16 = LargestDifference("bf16", "f32");
  const double of_fp8 = LargestDifference("fp8", "f32");
  EXPECT_LT(of_bf16, 8 * 0x1p-9 / std::sqrt(3.0) * std::sqrt(23.0));
  EXPECT_LT(of_fp8, 8 * 0x1p-4 / std::sqrt(3.0) * std::sqrt(2.0 * 8.0) / 2.0);
  EXPECT_GT(of_bf16, 0.0);
  EXPECT_GT(of_fp8, 2 * of_bf16);
}

TEST_F(Eval, DependsNeitherOnThreadsNorOnTheRun) {
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{}, {"--quantize_model.use_quantize_model=fp8linear", "--recipe=training"}}) {
    Score("one", options);
    std::vector<std::string> again = options;
    again.push_back("--overwrite");
    const std::string result = folder_.Read("one.json");
    const std::string details = folder_.Read("one.jsonl");
    threads_ = 3;
    Score("one", again);
    threads_ = 2;
    EXPECT_EQ(folder_.Read("one.json"), result);
    EXPECT_EQ(folder_.Read("one.jsonl"), details);
    std::filesystem::remove(File("one.json"));
    std::filesystem::remove(File("one.jsonl"));
  }
}

TEST_F(Eval, PaddingAndBatchesChangeNothingWithoutFp8) {
  Score("alone", {"--precision=fp32", "--device_eval_batch_size=1"});
  Score("together", {"--precision=fp32", "--device_eval_batch_size=44"});
  EXPECT_LT(LargestDifference("alone", "together"), OfToken());
}

TEST_F(Eval, TakesRequestsThatAreTokenized) {
  std::string tokenized;
  for (json line : Lines(folder_.Read(Questions()))) {
    for (const char* text : {"context", "continuation"}) {
      json ids = json::array();
      for (const char byte : line["request"][text].get<std::string>()) ids.push_back(static_cast<unsigned char>(byte));
      line["request"][std::string(text) + "_ids"] = ids;
    }
    tokenized += line.dump() + "\n";
  }
  Score("text");
  const Outcome outcome =
      Run(model_, "ids",
          {"--requests", "questions=" + folder_.Write("ids", tokenized), "--tokenizer.identifier=of another machine"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(folder_.Read("ids.jsonl"), folder_.Read("text.jsonl"));
  EXPECT_EQ(Result("ids")["evaluations"], Result("text")["evaluations"]);
}

TEST_F(Eval, ComputesOnlyTheGoldContinuationWhereThatIsEnough) {
  Score("all", {"--precision=fp32"});
  Score("gold", {"--precision=fp32", "--metrics=bpb"});
  EXPECT_EQ(Details("all").size(), 44u);
  EXPECT_EQ(Details("gold").size(), 15u);
  EXPECT_EQ(Result("gold")["evaluations"][0]["metrics"].size(), 1u);
  constexpr const char* kMetric = "eval/downstream_bpb/questions_bpb";
  EXPECT_NEAR(Metric("gold", kMetric), Metric("all", kMetric), OfToken() / std::log(2.0));
}

TEST_F(Eval, TakesAllThereIsForASubsetThatIsLarger) {
  Score("all", {"--device_eval_batch_size=4"});
  Score("subset", {"--device_eval_batch_size=4", "--eval_subset_num_batches=4611686018427387904"});  // 2^62
  EXPECT_EQ(folder_.Read("subset.jsonl"), folder_.Read("all.jsonl"));
}

TEST_F(Eval, LeavesOutWhatASubsetHasNotWhole) {
  const std::string questions = folder_.Read(Questions());
  const auto score_lines = [&](const std::string& name, int count) {
    std::size_t end = 0;
    for (int line = 0; line < count; ++line) end = questions.find('\n', end) + 1;
    const std::string file = folder_.Write(name + ".questions", questions.substr(0, end));
    const Outcome outcome = Run(model_, name, {"--requests", "questions=" + file, "--precision=fp32"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  };
  // The first question has 4 answers; of the second 2 of 3 are in the subset, the right one among them.
  Score("subset", {"--precision=fp32", "--device_eval_batch_size=6", "--eval_subset_num_batches=1"});
  score_lines("first", 4);
  score_lines("both", 6);
  EXPECT_EQ(Details("subset").size(), 6u);
  const json subset = Result("subset")["evaluations"][0]["metrics"];
  const json first = Result("first")["evaluations"][0]["metrics"];
  const json both = Result("both")["evaluations"][0]["metrics"];
  ASSERT_EQ(subset.size(), first.size());
  int that_tell = 0;  // metrics that a second question would change
  for (const auto& [name, value] : first.items()) {
    // Padding and batches change the last bits, as in the test of them; a metric is a mean over tokens or bytes.
    EXPECT_NEAR(subset.at(name).get<double>(), value.get<double>(), OfToken() / std::log(2.0)) << name;
    that_tell += std::abs(both.at(name).get<double>() - value.get<double>()) > 1e-3;
  }
  EXPECT_GE(that_tell, 4) << first << both;
}

TEST_F(Eval, TakesPathsThatAreNotUtf8) {
  std::filesystem::copy(model_, File("model \xff"), std::filesystem::copy_options::recursive);
  const Outcome outcome = Run(File("model \xff"), "named", {"--requests", "q=" + Questions()});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Result("named")["checkpoint"], File("model \xef\xbf\xbd"));
}

TEST_F(Eval, ComparesWithTheUnconditionalRequests) {
  std::string both;
  for (json line : Lines(folder_.Read(Questions()))) {
    both += line.dump() + "\n";
    line["doc_id"] = line["doc_id"].get<int>() + 1000000;
    line["request"]["context"] = "Answer:";
    both += line.dump() + "\n";
  }
  const Outcome outcome =
      Run(model_, "pmi", {"--requests", "questions=" + folder_.Write("both", both), "--metrics=pmi_dc,acc"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  double right = 0.0;
  double best = 0.0;
  bool best_is_gold = false;
  for (const json& line : Details("pmi")) {
    const double score = line["log_likelihood"].get<double>() - line["unconditional_log_likelihood"].get<double>();
    if (line["idx"] == 0) right += best_is_gold;
    if (line["idx"] == 0 || score > best) {
      best = score;
      best_is_gold = line["idx"] == line["label"];
    }
  }
  right += best_is_gold;
  EXPECT_EQ(Details("pmi").size(), 44u);
  EXPECT_DOUBLE_EQ(Metric("pmi", "eval/downstream/questions_pmi_dc"), right / 15.0);
}

TEST_F(Eval, SaysOfACheckpointWhatTheRunSaid) {
  std::string tokens;
  for (int i = 0; i < 40 * 64; ++i) {
    const int token = i % 23 == 7 ? 256 : i * i % 251;
    tokens += {static_cast<char>(token), static_cast<char>(token >> 8)};
  }
  const std::string data = folder_.Write("data.npy", tokens);
  folder_.Write(
      "run.yaml",
      "run_name: test\n"
      "model: {d_model: 64, n_heads: 2, n_layers: 2, mlp_ratio: 4, rope: true, include_bias: false,\n"
      "        layer_norm_with_affine: false, attention_dropout: 0, residual_dropout: 0,\n"
      "        embedding_dropout: 0, max_sequence_length: 64, vocab_size: 257, embedding_size: 320,\n"
      "        eos_token_id: 256, pad_token_id: 256, init_fn: mitchell}\n"
      "optimizer: {name: adamw, learning_rate: 1e-3, eps: 1e-8}\n"
      "quantize_model: {use_quantize_model: coat_real}\n"
      "scheduler: {t_warmup: 3}\n"
      "tokenizer: {identifier: bytes}\n"
      "data: {paths: [" +
          data +
          "]}\n"
          "evaluators:\n"
          "- {label: several, data: {datasets: {b: [" +
          data + "], a: [" + data +
          "]}}}\n"
          "- {label: fp8, recipe: training, data: {paths: [" +
          data +
          "]}, subset_num_batches: 2}\n"
          "- {label: documents, recipe: training, data: {generate_doc_lengths: true, paths: [" +
          data +
          "]}}\n"
          "- {label: piqa, type: downstream, requests: [" +
          Questions() +
          "]}\n"
          "- {label: quiz, type: downstream, recipe: training, metrics: [acc, bpb], device_eval_batch_size: 5,\n"
          "   requests: [" +
          Questions() +
          "]}\n"
          "precision: amp_bf16\n"
          "global_train_batch_size: 4\n"
          "device_train_microbatch_size: 4\n"
          "device_eval_batch_size: 8\n"
          "eval_interval: 3\n"
          "max_duration: 6\n"
          "no_pre_train_checkpoint: true\n");
  const std::string save = File("save");
  const Outcome trained = RunCoat({"train", File("run.yaml"), "--save_folder=" + save, "--device=cpu", "--threads=2"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Outcome outcome = Run(save + "/latest", "result", {});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(trained.out + trained.err, {"coat.train", "Running evaluation for 'quiz'"});
  ExpectParts(outcome.err, {"coat.eval", "Running evaluation for 'quiz'"});
  EXPECT_EQ(outcome.err.find("coat.train"), std::string::npos) << outcome.err;

  const std::vector<json> logged = Lines(folder_.Read(save + "/metrics.jsonl"));
  std::vector<std::string> names;
  const json result = Result("result");
  for (const json& evaluation : result["evaluations"]) {
    for (const auto& [name, value] : evaluation["metrics"].items()) {
      names.push_back(name);
      EXPECT_EQ(logged.back().at(name), value) << name;
      const bool is_share = name.starts_with("eval/downstream/");  // which two steps may have in common
      EXPECT_TRUE(is_share || logged.at(2).at(name) != value) << name << " at step 3";
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"eval/a/CrossEntropyLoss", "eval/a/Perplexity", "eval/b/CrossEntropyLoss",
                                             "eval/b/Perplexity", "eval/fp8/CrossEntropyLoss", "eval/fp8/Perplexity",
                                             "eval/documents/CrossEntropyLoss", "eval/documents/Perplexity",
                                             "eval/downstream/piqa_len_norm", "eval/downstream/quiz_acc",
                                             "eval/downstream_bpb/quiz_bpb"}));
  // The configuration, with the checkpoint that it would go on from, says the same.
  const Outcome by_config = Run(File("run.yaml"), "config", {"--save_folder=" + save, "--try_load_latest_save"});
  ASSERT_EQ(by_config.exit_code, 0) << by_config.err;
  EXPECT_EQ(Result("config")["evaluations"], result["evaluations"]);
}

}  // namespace
}  // namespace coat
