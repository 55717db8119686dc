// Evaluation within documents: packed documents against each of them alone, in whole runs of `coat eval`.

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/eval/eval_folders.h"

namespace coat {
namespace {

using nlohmann::json;

constexpr int kEnd = 499;

class EvalOfDocuments : public EvalFolders {
 protected:
  /// Documents that end with kEnd, which is nowhere else in them.
  static std::vector<std::vector<int>> Documents(const std::vector<std::size_t>& lengths) {
    std::mt19937 generator(5);
    std::vector<std::vector<int>> documents;
    for (const std::size_t length : lengths) {
      std::vector<int>& document = documents.emplace_back();
      while (document.size() + 1 < length) document.push_back(static_cast<int>(generator() % kEnd));
      document.push_back(kEnd);
    }
    return documents;
  }

  /// Writes them one after the other, and a mask that leaves the first token of each without a label, as nobody
  /// predicts it who sees its document only.
  void Write(const std::string& name, const std::vector<std::vector<int>>& documents) const {
    std::string tokens;
    std::string mask;
    for (const std::vector<int>& document : documents) {
      for (const int token : document) tokens += {static_cast<char>(token & 0xff), static_cast<char>(token >> 8)};
      mask += '\0' + std::string(document.size() - 1, '\1');
    }
    folder_.Write(name + ".npy", tokens);
    folder_.Write(name + "-mask.npy", mask);
  }

  EvaluatorConfig Evaluator(const std::string& label, const std::string& data, bool within_documents) const {
    EvaluatorConfig evaluator;
    evaluator.label = label;
    evaluator.data.paths = {File(data + ".npy")};
    evaluator.data.label_mask_paths = {File(data + "-mask.npy")};
    evaluator.data.generate_doc_lengths = within_documents;
    return evaluator;
  }

  /// The losses of these evaluators on sequences of `length` tokens, `batch` at a time.
  json Losses(const std::string& name, std::vector<EvaluatorConfig> evaluators, std::size_t length, std::int64_t batch,
              const std::vector<std::string>& options) const {
    TrainConfig config;
    config.run_name = "test";
    config.precision = Precision::kAmpBf16;
    config.model = TinyOlmo();
    config.model.max_sequence_length = static_cast<std::int64_t>(length);
    config.evaluators = std::move(evaluators);
    config.device_eval_batch_size = batch;
    config.load_path = model_;
    const Outcome outcome = Run(folder_.Write(name + ".yaml", Dump(config)), name, options);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const json result = json::parse(folder_.Read(name + ".json"));
    json losses;
    for (const json& evaluation : result["evaluations"]) {
      const std::string label = evaluation["label"];
      losses[label] = evaluation["metrics"]["eval/" + label + "/CrossEntropyLoss"];
    }
    return losses;
  }
};

/// float32: a packed document's positions count from the start of the sequence, so that its rotations, and with them
/// the scores, round differently; logits of magnitude below 64 round by 2^-18.
TEST_F(EvalOfDocuments, InFloat32GivesEachWhatItHasAlone) {
  const std::vector<std::size_t> lengths = {61, 2, 90, 7, 41};  // 201 tokens
  const auto documents = Documents(lengths);
  Write("packed", documents);
  const std::vector<std::string> options = {"--precision=fp32"};
  const json packed =
      Losses("packed", {Evaluator("within", "packed", true), Evaluator("across", "packed", false)}, 201, 1, options);
  double sum = 0.0;
  double labels = 0.0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::string name = "alone" + std::to_string(i);
    Write(name, {documents[i]});
    const double loss = Losses(name, {Evaluator(name, name, false)}, lengths[i], 1, options)[name];
    sum += loss * static_cast<double>(lengths[i] - 1);
    labels += static_cast<double>(lengths[i] - 1);
  }
  EXPECT_NEAR(packed["within"], sum / labels, 0x1p-18);
  EXPECT_GT(std::abs(packed["across"].get<double>() - sum / labels), 1e-3) << "documents make no difference here";
}

/// With FP8 a tensor's scale depends on all of a batch's tokens: so the same ones, four documents of a sequence or
/// each a sequence of its own. Rotations round differently by 2^-9, which changes a code of E4M3, by 2^-3, once in 64
/// times: 2^-6 in the root mean square of eight products, each half of the stream, logits that spread by about 8, and
/// means over 16 times 31 labels.
TEST_F(EvalOfDocuments, InTheTrainingsRecipeGivesEachWhatItHasAlone) {
  const double rounding = 8 * 0x1p-6 / std::sqrt(3.0) * std::sqrt(8.0) / 2 / std::sqrt(16.0 * 31.0);
  const auto documents = Documents(std::vector<std::size_t>(16, 32));
  Write("data", documents);
  for (const char* const recipe : {"coat_real", "fp8linear"}) {
    const std::vector<std::string> options = {std::string("--quantize_model.use_quantize_model=") + recipe,
                                              "--recipe=training", "--overwrite"};
    const json packed =
        Losses("packed", {Evaluator("within", "data", true), Evaluator("across", "data", false)}, 128, 4, options);
    EXPECT_EQ(json::parse(folder_.Read("packed.json"))["evaluations"][0]["precision"], recipe);
    const json alone =
        Losses("alone", {Evaluator("alone", "data", false), Evaluator("masked", "data", true)}, 32, 16, options);
    EXPECT_EQ(alone["alone"], alone["masked"]) << "one document of a sequence needs no mask";
    EXPECT_NEAR(packed["within"], alone["alone"], rounding);
    EXPECT_GT(std::abs(packed["across"].get<double>() - alone["alone"].get<double>()), 1.5 * rounding);
  }
}

}  // namespace
}  // namespace coat
