// The engine of a step: its memory plan, what it does with gradients that are not finite.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "engine/engine.h"
#include "engine/evaluation_engine.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

struct Tokens {
  std::vector<std::int32_t> ids, labels;
};

Tokens RandomTokens(const TrainConfig& config, std::int64_t sequences, unsigned seed) {
  std::mt19937 generator(seed);
  Tokens tokens;
  for (std::int64_t i = 0; i < sequences * config.model.max_sequence_length; ++i) {
    tokens.ids.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(config.model.vocab_size)));
    tokens.labels.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(config.model.vocab_size)));
  }
  return tokens;
}

void TrainOneStep(Engine& engine, const TrainConfig& config, std::int64_t step) {
  const std::int64_t sequences = config.device_train_microbatch_size;
  for (unsigned i = 0; i < 2; ++i) {
    const Tokens tokens = RandomTokens(config, sequences, 2 * static_cast<unsigned>(step) + i);
    engine.TrainMicroBatch(tokens.ids, tokens.labels, sequences, {.loss = 1.0 / 512.0, .z = 1e-7}, i == 0);
  }
  engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt});
  engine.Update(1e-3, step);
}

TrainConfig WithEvaluator(TrainConfig config) {
  config.evaluators.emplace_back();
  config.device_eval_batch_size = 6;
  return config;
}

TrainConfig WithBothEvaluators(TrainConfig config) {
  config = WithEvaluator(config);
  config.evaluators.emplace_back();
  config.evaluators.back().recipe = EvaluationRecipe::kTraining;
  return config;
}

/// One batch in every recipe that an evaluator asks for; their losses one after the other.
std::vector<float> Evaluated(LossModel& model, const TrainConfig& config, std::int64_t sequences) {
  const Tokens tokens = RandomTokens(config, sequences, 9);
  std::vector<float> losses;
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    model.PrepareEvaluation(evaluator.recipe);
    const std::span<const float> batch = model.EvaluateBatch(tokens.ids, tokens.labels, sequences);
    losses.insert(losses.end(), batch.begin(), batch.end());
  }
  return losses;
}

class MemoryPlanTest : public testing::TestWithParam<TrainConfig> {};

TEST_P(MemoryPlanTest, AgreesWithTheRunToTheByte) {
  const TrainConfig& config = GetParam();
  const MemoryPlan plan = Engine::Measure(config);
  Engine engine(config, Context(DeviceKind::kCpu, 2));
  engine.InitializeParameters(1);
  TrainOneStep(engine, config, 1);
  TrainOneStep(engine, config, 2);
  Evaluated(engine, config, config.device_eval_batch_size);
  const MemoryPlan used = engine.Used();
  ASSERT_EQ(plan.categories.size(), used.categories.size());
  for (std::size_t i = 0; i < plan.categories.size(); ++i) {
    EXPECT_EQ(plan.categories[i].bytes, used.categories[i].bytes) << plan.categories[i].name;
    // One rank tells nobody anything.
    EXPECT_EQ(plan.categories[i].bytes > 0, plan.categories[i].name != "exchange") << plan.categories[i].name;
  }
  std::int64_t saved = 0;
  for (const MemoryPlan::Line& line : plan.saved) saved += line.bytes;
  EXPECT_LE(saved, plan.Bytes("saved"));
}

std::vector<TrainConfig> PlannedConfigs() {
  std::vector<TrainConfig> configs = {WithEvaluator(TinyConfig())};
  TrainConfig config = WithEvaluator(TinyConfig());
  config.precision = Precision::kFp32;
  configs.push_back(config);
  config = TinyConfig();
  config.optimizer.name = OptimizerName::kLionW;
  config.model.weight_tying = false;
  config.model.clip_qkv = 2.0;
  config.model.n_kv_heads = 1;
  configs.push_back(config);
  for (const bool efficient : {false, true}) {
    config = WithBothEvaluators(TinyConfig());
    UseCoatActivations(config);
    UseCoatOptimizer(config);
    config.quantize_model.weight_memory_efficient = efficient;
    configs.push_back(config);
  }
  config = TinyConfig();
  config.quantize_model.use_quantize_model = QuantizeModel::kFp8Linear;
  configs.push_back(config);
  configs.push_back(WithEvaluator(TinyOlmo2Config()));
  config = WithEvaluator(TinyOlmo2Config());
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  config.activation_checkpointing = ActivationCheckpointing::kOneInTwo;
  configs.push_back(config);
  config = TinyOlmo2Config();
  config.quantize_model.use_quantize_model = QuantizeModel::kFp8Linear;
  configs.push_back(config);
  return configs;
}

INSTANTIATE_TEST_SUITE_P(Recipes, MemoryPlanTest, testing::ValuesIn(PlannedConfigs()));

class EvaluationEngineTest : public testing::TestWithParam<TrainConfig> {};

/// Fills the parameters of an evaluation with those of a run.
void CopyParameters(const Engine& from, const EvaluationEngine& to) {
  for (std::size_t p = 0; p < from.model().parameters().size(); ++p) {
    to.context().Upload(from.model().parameters()[p].value.data(), to.model().parameters()[p].value);
  }
}

TEST_P(EvaluationEngineTest, HasTheRunsLossesInTheMemoryOfItsPlan) {
  const TrainConfig& config = GetParam();
  Engine engine(config, Context(DeviceKind::kCpu, 2));
  engine.InitializeParameters(1);
  EvaluationEngine evaluation(config, Context(DeviceKind::kCpu, 3));
  CopyParameters(engine, evaluation);
  const std::vector<float> losses = Evaluated(engine, config, 6);
  EXPECT_EQ(Evaluated(evaluation, config, 6), losses);
  const MemoryPlan plan = EvaluationEngine::Measure(config);
  for (const MemoryPlan::Line& line : evaluation.Used().categories) {
    EXPECT_EQ(line.bytes, plan.Bytes(line.name)) << line.name;
  }
  EXPECT_EQ(plan.Bytes("gradients") + plan.Bytes("moments") + plan.Bytes("metadata"), 0);
  EXPECT_LT(plan.Total(), Engine::Measure(config).Total());
  for (const std::int64_t sequences : {5, 3, 1}) Evaluated(evaluation, config, sequences);
  EXPECT_EQ(Evaluated(evaluation, config, 6), losses);
}

std::vector<TrainConfig> EvaluatedConfigs() {
  std::vector<TrainConfig> configs;
  for (const TrainConfig& config : PlannedConfigs()) configs.push_back(WithBothEvaluators(config));
  return configs;
}

INSTANTIATE_TEST_SUITE_P(Recipes, EvaluationEngineTest, testing::ValuesIn(EvaluatedConfigs()));

TEST(Engine, EvaluatesInTheTrainingsRecipeAsItTrains) {
  for (const QuantizeModel recipe :
       {QuantizeModel::kCoatReal, QuantizeModel::kFp8Linear, QuantizeModel::kFp8DeepSeek}) {
    TrainConfig config = WithBothEvaluators(TinyConfig());
    config.quantize_model.use_quantize_model = recipe;
    config.model.d_model = 128;
    config.model.mlp_ratio = 4;
    Engine engine(config, Context(DeviceKind::kCpu, 2));
    engine.InitializeParameters(1);
    TrainOneStep(engine, config, 1);
    const Tokens tokens = RandomTokens(config, 4, 3);
    std::vector<double> sums;
    for (const EvaluationRecipe of : {EvaluationRecipe::kTraining, EvaluationRecipe::kPlain}) {
      engine.PrepareEvaluation(of);
      sums.push_back(0.0);
      for (const float loss : engine.EvaluateBatch(tokens.ids, tokens.labels, 4)) sums.back() += loss;
    }
    const LossSums trained = engine.TrainMicroBatch(tokens.ids, tokens.labels, 4, {}, true);
    EXPECT_EQ(sums[0], trained.cross_entropy) << NameOf(recipe);
    EXPECT_NE(sums[1], trained.cross_entropy) << NameOf(recipe);
    // E4M3 rounds by 2^-4 / sqrt(3), root mean square from above, either operand of each of eight products, each a part
    // of about half of the stream that reaches the head; logits of one update are below 1. Over the labels' positions
    // the errors of losses average out, but for their root, of which six are more than chance.
    const double of_token = 0x1p-4 / std::sqrt(3.0) * std::sqrt(2.0 * 8.0) / 2.0;
    EXPECT_NEAR(sums[1], trained.cross_entropy, 6.0 * of_token * std::sqrt(static_cast<double>(tokens.ids.size())))
        << NameOf(recipe);
  }
}

TEST(MemoryPlan, HasRoomForTheLastMicroBatchOfAStep) {
  // 4096 tokens of this vocabulary are one part of the head, 6144 two of 3072.
  TrainConfig config = TinyConfig();
  config.model.max_sequence_length = 2048;
  config.model.vocab_size = config.model.embedding_size.emplace(50304);
  config.global_train_batch_size = 10;
  config.device_train_microbatch_size = 2;
  const std::int64_t of_two = Engine::Measure(config).Bytes("scratch");
  config.device_train_microbatch_size = 3;
  const std::int64_t of_three_and_one = Engine::Measure(config).Bytes("scratch");
  EXPECT_LT(of_three_and_one, of_two);
  config.device_train_batch_size = 5;
  EXPECT_EQ(Engine::Measure(config).Bytes("scratch"), of_two);
}

TEST(MemoryPlan, HasNoRoomForMoreThanTheBatch) {
  TrainConfig config = TinyConfig();
  config.device_train_batch_size = config.device_train_microbatch_size = 2;
  const std::int64_t needed = Engine::Measure(config).Total();
  config.device_train_microbatch_size = 1'000'003;
  EXPECT_EQ(Engine::Measure(config).Total(), needed);
}

TEST(MemoryPlan, OfOlmo1BKeepsAsMuchAsTheDesignSays) {
  TrainConfig config = OneBillionConfig();
  const MemoryPlan bf16 = Engine::Measure(config);
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  config.quantize_model.group_size = 128;
  const MemoryPlan coat = Engine::Measure(config);
  constexpr std::int64_t kParameters = 1'176'764'416;
  EXPECT_EQ(coat.Bytes("masters"), 4 * kParameters);
  // q, k, v, attention output: 8 d; two norms: 2 d; up and gate: 2 h with bf16 scales; row statistics; five single
  // numbers, the norms' scales and the largest magnitudes of both and of the attention output.
  const double d = 2048.0;
  const double of_layer = 10.0 * d + 2.0 * 8192.0 * (1.0 + 2.0 / 128.0) + 4.0 * 2.0 + 4.0 * 16.0;
  EXPECT_EQ(coat.Bytes("saved"), static_cast<std::int64_t>(16.0 * (16384.0 * of_layer + 5.0 * Arena::kAlignment)));
  EXPECT_LT(coat.Bytes("saved"), 2 * bf16.Bytes("saved") / 3);
  // Of 128 moments two numbers; for clipping three of each of 65 parameters and one, and four for metrics.
  EXPECT_EQ(coat.Bytes("moments") + coat.Bytes("metadata"), kParameters / 8 * 17 + (3 * 2 + 1 + 1) * Arena::kAlignment);
  EXPECT_EQ(bf16.Bytes("moments"), 8 * kParameters);
  config.gradient_precision = GradientPrecision::kBf16;
  config.quantize_model.weight_cache = WeightCache::kCodes;
  EXPECT_LT(Engine::Measure(config).Total(), std::int64_t{20} << 30);
}

TEST(MemoryPlan, OfOlmo2KeepsTheStreamAndTheBranchesInFp8) {
  TrainConfig config = OneBillionConfig();
  UseOlmo2Norms(config.model);
  UseCoatActivations(config);
  const MemoryPlan coat = Engine::Measure(config);
  // q, k, v before their norms, attention output: 8 d; the stream twice: 2 d; two branches and up and gate with bf16
  // scales for 16 values: 2.25 (d + h); row statistics; three single numbers, the stream's and the attention output's.
  const double d = 2048.0;
  const double of_layer = 10.0 * d + 2.25 * (d + 8192.0) + 4.0 * 2.0 + 4.0 * 16.0;
  EXPECT_EQ(coat.Bytes("saved"), static_cast<std::int64_t>(16.0 * (16384.0 * of_layer + 3.0 * Arena::kAlignment)));
}

void ExpectStepsToRepeat(TrainConfig config) {
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  Engine one(config, Context(DeviceKind::kCpu, 1));
  Engine three(config, Context(DeviceKind::kCpu, 3));
  for (Engine* engine : {&one, &three}) {
    engine->InitializeParameters(7);
    for (std::int64_t step = 1; step <= 5; ++step) TrainOneStep(*engine, config, step);
  }
  for (std::size_t p = 0; p < one.model().parameters().size(); ++p) {
    const Parameter& parameter = one.model().parameters()[p];
    EXPECT_EQ(std::memcmp(parameter.value.data(), three.model().parameters()[p].value.data(),
                          static_cast<std::size_t>(parameter.value.bytes())),
              0)
        << parameter.name;
  }
}

TEST(Engine, RepeatsAStepBitForBit) {
  ExpectStepsToRepeat(TinyConfig());
  ExpectStepsToRepeat(TinyOlmo2Config());
}

TEST(Engine, StartsGradientsAnewWithTheFirstMicroBatch) {
  TrainConfig untied = TinyConfig();
  untied.model.weight_tying = false;
  for (const TrainConfig& of_model : {TinyConfig(), untied, TinyOlmo2Config()}) {
    for (const bool coat : {true, false}) {
      TrainConfig config = of_model;
      if (coat) UseCoatActivations(config);
      const Tokens tokens = RandomTokens(config, 4, 1);
      Engine fresh(config, Context(DeviceKind::kCpu, 2));
      Engine used(config, Context(DeviceKind::kCpu, 2));
      for (Engine* engine : {&fresh, &used}) engine->InitializeParameters(7);
      for (const Parameter& parameter : used.model().parameters()) {
        std::fill_n(parameter.grad.As<float>(), parameter.grad.elements(), std::nanf(""));
      }
      for (Engine* engine : {&fresh, &used}) {
        engine->TrainMicroBatch(tokens.ids, tokens.labels, 4, {.loss = 1.0, .z = 0.0}, true);
        engine->TrainMicroBatch(tokens.ids, tokens.labels, 4, {.loss = 1.0, .z = 0.0}, false);
      }
      for (std::size_t p = 0; p < fresh.model().parameters().size(); ++p) {
        const TensorView grad = fresh.model().parameters()[p].grad;
        EXPECT_EQ(
            std::memcmp(grad.data(), used.model().parameters()[p].grad.data(), static_cast<std::size_t>(grad.bytes())),
            0)
            << fresh.model().parameters()[p].name;
      }
    }
  }
}

TEST(Engine, NamesTheFirstGradientThatIsNotFinite) {
  for (const float poison : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const TrainConfig config = TinyConfig();
    Engine engine(config, Context(DeviceKind::kCpu, 2));
    engine.InitializeParameters(7);
    EXPECT_TRUE(engine.MeasureGradients({}).first_non_finite.empty());
    const Parameter& parameter = engine.model().parameters()[3];
    parameter.grad.As<float>()[5] = poison;
    const ClippingResult result = engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt});
    EXPECT_EQ(result.first_non_finite, parameter.name);
    EXPECT_FALSE(std::isfinite(result.total_norm));
  }
}

TEST(Engine, ShowsAWeightThatIsNotFiniteInEveryRecipe) {
  std::vector<TrainConfig> configs(4, TinyConfig());
  configs.resize(8, TinyOlmo2Config());
  for (const std::size_t first : {0, 4}) {
    configs[first + 1].quantize_model.use_quantize_model = QuantizeModel::kFp8Linear;
    UseCoatActivations(configs[first + 2]);
    UseCoatActivations(configs[first + 3]);
    configs[first + 3].quantize_model.weight_memory_efficient = true;
  }
  for (const TrainConfig& config : configs) {
    Engine engine(config, Context(DeviceKind::kCpu, 2));
    engine.InitializeParameters(7);
    engine.model().parameters()[4].value.As<float>()[11] = std::numeric_limits<float>::infinity();
    const Tokens tokens = RandomTokens(config, 4, 1);
    const LossSums sums = engine.TrainMicroBatch(tokens.ids, tokens.labels, 4, {.loss = 1.0, .z = 0.0}, true);
    const ClippingResult result = engine.MeasureGradients({});
    EXPECT_TRUE(!std::isfinite(sums.cross_entropy) || !result.first_non_finite.empty()) << RecipeName(config);
  }
}

}  // namespace
}  // namespace coat
