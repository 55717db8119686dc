// Attention within documents, in whole models: packed documents against each of them alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/documents.h"
#include "engine/engine.h"
#include "tests/support/error_of.h"
#include "tests/support/rounding.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

constexpr std::int32_t kEnd = 0;

Recipe Float32() {
  return PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone);
}

ModelConfig WithLength(ModelConfig config, std::int64_t length) {
  config.max_sequence_length = length;
  config.n_kv_heads = 2;
  return config;
}

/// Documents of the given lengths, each ending with kEnd, which is nowhere else.
std::vector<std::vector<std::int32_t>> Documents(const std::vector<std::int64_t>& lengths) {
  std::vector<std::vector<std::int32_t>> documents;
  std::int32_t next = 1;
  for (const std::int64_t length : lengths) {
    std::vector<std::int32_t>& document = documents.emplace_back();
    for (std::int64_t i = 0; i + 1 < length; ++i) document.push_back(1 + (next++ * 37) % 249);
    document.push_back(kEnd);
  }
  return documents;
}

/// Gives the model one sequence; a token's label is the next one of the same document, the last one has none.
void SetTokens(SmallModel& model, const std::vector<std::vector<std::int32_t>>& documents) {
  std::int32_t* ids = model.ids.As<std::int32_t>();
  std::int32_t* labels = model.labels.As<std::int32_t>();
  for (const std::vector<std::int32_t>& document : documents) {
    for (std::size_t i = 0; i < document.size(); ++i) {
      *ids++ = document[i];
      *labels++ = i + 1 < document.size() ? document[i + 1] : -100;
    }
  }
}

/// One sequence of all documents, with or without a mask between them.
struct Packed {
  Packed(const std::vector<std::vector<std::int32_t>>& documents, std::int64_t length, bool masked,
         const Recipe& recipe, const ModelConfig& config = SmallModel::Config())
      : model(WithLength(config, length), recipe, 2, 1), starts(static_cast<std::size_t>(length)) {
    SetTokens(model, documents);
    FindDocuments({model.ids.As<std::int32_t>(), starts.size()}, kEnd, starts);
    if (masked) model.documents = {starts.data(), {length}, DType::kI32, DeviceKind::kCpu};
  }

  SmallModel model;
  std::vector<std::int32_t> starts;
};

double SquaredNorm(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

void ExpectSameBytes(ConstTensorView a, ConstTensorView b, const std::string& what) {
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0) << what;
}

void ExpectPackedDocumentsToBeWhatEachIsAlone(const ModelConfig& config) {
  const std::vector<std::int64_t> lengths = {61, 1, 90, 7, 41};
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  const auto documents = Documents(lengths);
  Packed packed(documents, total, true, Float32(), config);
  Packed crossing(documents, total, false, Float32(), config);
  packed.model.ForwardBackward();
  crossing.model.ForwardBackward();

  std::vector<std::vector<double>> gradients;
  for (const Parameter& parameter : packed.model.model.parameters()) {
    gradients.emplace_back(static_cast<std::size_t>(parameter.grad.elements()), 0.0);
  }
  std::int64_t first = 0;
  double largest_change = 0.0;
  double largest_error = 0.0;
  std::vector<double> losses;
  for (const std::vector<std::int32_t>& document : documents) {
    const auto length = static_cast<std::int64_t>(document.size());
    SmallModel alone(WithLength(config, length), Float32(), 2, 1);
    SetTokens(alone, {document});
    alone.ForwardBackward();
    for (std::int64_t i = 0; i < length; ++i) {
      const double expected = alone.loss.As<float>()[i];
      largest_error = std::max(largest_error, std::abs(packed.model.loss.As<float>()[first + i] - expected));
      losses.push_back(expected);
      largest_change = std::max(largest_change, std::abs(crossing.model.loss.As<float>()[first + i] - expected));
    }
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      const float* grad = alone.model.parameters()[p].grad.As<float>();
      for (double& sum : gradients[p]) sum += *grad++;
    }
    first += length;
  }
  // Positions count from the start of the sequence, so that rotations, and with them all that follows, round
  // differently. A loss is the logarithm of a sum, near log(250) here, less a logit: the losses' spread is the logits'.
  const double mean = std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(total);
  const double spread = std::sqrt(SquaredNorm(losses) / static_cast<double>(total) - mean * mean);
  const auto length = static_cast<double>(total);
  EXPECT_LT(largest_error, kStandardDeviations * kOfTwo * ForwardRounding(config, length) * spread);
  EXPECT_GT(largest_change, 0.1) << "the mask makes no difference here";
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    const Parameter& parameter = packed.model.model.parameters()[p];
    std::vector<double> error(gradients[p].size());
    std::vector<double> of_crossing(gradients[p].size());
    for (std::size_t i = 0; i < error.size(); ++i) {
      error[i] = parameter.grad.As<float>()[i] - gradients[p][i];
      of_crossing[i] = crossing.model.model.parameters()[p].grad.As<float>()[i] - gradients[p][i];
    }
    // Twice, for errors that a parameter's elements have in common.
    EXPECT_LT(std::sqrt(SquaredNorm(error) / SquaredNorm(gradients[p])),
              2.0 * kOfTwo * GradientRounding(config, length, length))
        << parameter.name;
    EXPECT_GT(std::sqrt(SquaredNorm(of_crossing) / SquaredNorm(gradients[p])), 1e-2) << parameter.name;
  }
}

TEST(DocumentMasking, MakesPackedDocumentsWhatEachIsAlone) {
  ExpectPackedDocumentsToBeWhatEachIsAlone(SmallModel::Config());
}

TEST(DocumentMasking, MakesPackedDocumentsWhatEachIsAloneInOlmo2) {
  ExpectPackedDocumentsToBeWhatEachIsAlone(SmallModel::Olmo2Config());
}

TEST(DocumentMasking, LetsNothingOfADocumentReachAnother) {
  // Other tokens in every document but the third change no bit of the third's losses.
  const std::vector<std::int64_t> lengths = {61, 1, 90, 7, 41};
  auto documents = Documents(lengths);
  TrainConfig coat;
  coat.precision = Precision::kAmpBf16;
  Packed before(documents, 200, true, MakeRecipe(coat));
  for (const std::size_t changed : {0, 3, 4}) {
    for (std::size_t i = 0; i + 1 < documents[changed].size(); ++i) documents[changed][i] = 249 - documents[changed][i];
  }
  Packed after(documents, 200, true, MakeRecipe(coat));
  EXPECT_NE(before.model.Forward(), after.model.Forward());
  for (std::int64_t i = 62; i < 152; ++i) {
    EXPECT_EQ(before.model.loss.As<float>()[i], after.model.loss.As<float>()[i]) << "token " << i;
  }
}

TEST(DocumentMasking, OfOneDocumentIsNoMasking) {
  const auto documents = Documents({130});
  Packed with(documents, 130, true, Float32());
  Packed without(documents, 130, false, Float32());
  EXPECT_EQ(with.model.ForwardBackward(), without.model.ForwardBackward());
  for (std::size_t p = 0; p < with.model.model.parameters().size(); ++p) {
    const Parameter& parameter = with.model.model.parameters()[p];
    ExpectSameBytes(parameter.grad, without.model.model.parameters()[p].grad, parameter.name);
  }
}

TEST(DocumentMasking, RecomputesBlocksWithTheSameMask) {
  TrainConfig config;
  config.precision = Precision::kAmpBf16;
  config.quantize_model.use_quantize_model = QuantizeModel::kCoatReal;
  TrainConfig recomputing = config;
  recomputing.activation_checkpointing = ActivationCheckpointing::kWholeLayer;
  const auto documents = Documents({50, 70, 40});
  for (const ModelConfig& model : {SmallModel::Config(), SmallModel::Olmo2Config()}) {
    Packed kept(documents, 160, true, MakeRecipe(config), model);
    Packed recomputed(documents, 160, true, MakeRecipe(recomputing), model);
    EXPECT_EQ(kept.model.ForwardBackward(), recomputed.model.ForwardBackward());
    for (std::size_t p = 0; p < kept.model.model.parameters().size(); ++p) {
      const Parameter& parameter = kept.model.model.parameters()[p];
      ExpectSameBytes(parameter.grad, recomputed.model.model.parameters()[p].grad, parameter.name);
    }
  }
}

/// Two sequences' ids, labels and documents for an engine.
struct Tokens {
  explicit Tokens(const TrainConfig& config) {
    const auto count = static_cast<std::size_t>(2 * config.model.max_sequence_length);
    for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>(i * 31 % 61));
    labels = ids;
    documents.resize(count);
    for (std::size_t begin : {std::size_t{0}, count / 2}) {
      FindDocuments(std::span(ids).subspan(begin, count / 2), 5, std::span(documents).subspan(begin, count / 2));
    }
  }
  std::vector<std::int32_t> ids, labels, documents;
};

TEST(DocumentMasking, GoesThroughTheEngineInTrainingAndEvaluationAsPlanned) {
  TrainConfig config = TinyConfig();
  config.device_train_microbatch_size = 2;
  config.evaluators.emplace_back();
  config.device_eval_batch_size = 2;
  const std::int64_t without = Engine::Measure(config).Bytes("batch");
  config.evaluators[0].data.generate_doc_lengths = true;
  const MemoryPlan plan = Engine::Measure(config);
  const std::int64_t tokens_of_batch = 2 * config.model.max_sequence_length;
  EXPECT_EQ(plan.Bytes("batch"), without + 4 * tokens_of_batch);
  config.evaluators[0].data.generate_doc_lengths = false;
  config.data.generate_doc_lengths = true;
  EXPECT_EQ(Engine::Measure(config).Total(), plan.Total());

  const Tokens tokens(config);
  Engine engine(config, Context(DeviceKind::kCpu, 2));
  engine.InitializeParameters(7);
  const LossSums masked =
      engine.TrainMicroBatch(tokens.ids, tokens.labels, 2, {.loss = 1.0, .z = 0.0}, true, tokens.documents);
  const LossSums crossing = engine.TrainMicroBatch(tokens.ids, tokens.labels, 2, {.loss = 1.0, .z = 0.0}, false);
  EXPECT_NE(masked.cross_entropy, crossing.cross_entropy);
  engine.PrepareEvaluation(EvaluationRecipe::kPlain);
  const auto evaluate = [&](std::span<const std::int32_t> documents) {
    const std::span<const float> losses = engine.EvaluateBatch(tokens.ids, tokens.labels, 2, documents);
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  };
  EXPECT_EQ(evaluate(tokens.documents), masked.cross_entropy);
  EXPECT_EQ(evaluate({}), crossing.cross_entropy);
  engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt});
  engine.Update(1e-3, 1);
  const MemoryPlan used = engine.Used();
  for (std::size_t i = 0; i < plan.categories.size(); ++i) {
    EXPECT_EQ(plan.categories[i].bytes, used.categories[i].bytes) << plan.categories[i].name;
  }
}

/// The losses of 8 documents of 16 tokens, `in_a_sequence` of them in each sequence, as training computes them.
std::vector<float> LossesInTheTrainingsRecipe(TrainConfig config, std::int64_t in_a_sequence, bool masked) {
  constexpr std::int64_t kDocuments = 8;
  constexpr std::int64_t kLength = 16;
  const std::int64_t sequences = kDocuments / in_a_sequence;
  config.model.max_sequence_length = in_a_sequence * kLength;
  config.device_train_microbatch_size = config.global_train_batch_size = config.device_eval_batch_size = sequences;
  config.data.generate_doc_lengths = true;
  config.evaluators.emplace_back().recipe = EvaluationRecipe::kTraining;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < kDocuments * kLength; ++i)
    ids.push_back(i % kLength == kLength - 1 ? 5 : 6 + i * i % 53);
  for (std::size_t i = 0; i < ids.size(); ++i) labels.push_back(ids[i] == 5 ? -100 : ids[i + 1]);
  std::vector<std::int32_t> documents(masked ? ids.size() : 0);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    documents[i] = static_cast<std::int32_t>(i / kLength * kLength) % (in_a_sequence * kLength);
  }
  Engine engine(config, Context(DeviceKind::kCpu, 2));
  engine.InitializeParameters(7);
  engine.PrepareEvaluation(EvaluationRecipe::kTraining);
  const std::span<const float> losses = engine.EvaluateBatch(ids, labels, sequences, documents);
  return {losses.begin(), losses.end()};
}

double RootMeanSquareOfDifferences(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// A scale belongs to a tensor of all tokens, which are the same here. What differs is the rounding of rotations, 2^-9,
/// as positions count from the start of the sequence: it changes a code of E4M3, by 2^-3, once in 64 times, which is
/// 2^-6 in the root mean square of the six products behind the first rotation, each half of the stream; logits spread
/// by about 8.
TEST(DocumentMasking, EvaluatesInTheTrainingsRecipeWhatEachIsAlone) {
  const double rounding = 8 * 0x1p-6 / std::sqrt(3.0) * std::sqrt(6.0) / 2;
  for (const QuantizeModel recipe : {QuantizeModel::kCoatReal, QuantizeModel::kFp8Linear}) {
    TrainConfig config = TinyConfig();
    config.precision = Precision::kAmpBf16;
    config.quantize_model.use_quantize_model = recipe;
    const std::vector<float> alone = LossesInTheTrainingsRecipe(config, 1, false);
    EXPECT_EQ(LossesInTheTrainingsRecipe(config, 1, true), alone);
    const double within = RootMeanSquareOfDifferences(LossesInTheTrainingsRecipe(config, 4, true), alone);
    const double across = RootMeanSquareOfDifferences(LossesInTheTrainingsRecipe(config, 4, false), alone);
    EXPECT_LT(within, rounding);
    EXPECT_GT(across, 8 * rounding) << "documents make no difference here";
  }
}

TEST(DocumentMasking, IsRefusedByAnEngineThatHasNoRoomForDocuments) {
  TrainConfig config = TinyConfig();
  config.device_train_microbatch_size = 2;
  const Tokens tokens(config);
  Engine engine(config, Context(DeviceKind::kCpu, 2));
  ExpectParts(ErrorOf<ArgumentError>([&] {
                engine.TrainMicroBatch(tokens.ids, tokens.labels, 2, {.loss = 1.0, .z = 0.0}, true, tokens.documents);
              }),
              {"generate_doc_lengths"});
}

}  // namespace
}  // namespace coat
