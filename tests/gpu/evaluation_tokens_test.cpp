// How many tokens evaluation in the training's recipe takes at a time, on FP8 tensor cores.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/device_limits.h"
#include "engine/evaluation_engine.h"
#include "tests/gpu/gpu.h"
#include "tests/support/error_of.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

/// A model of width 128 that is evaluated in this recipe, one sequence of `length` tokens at a time.
TrainConfig Evaluated(QuantizeModel recipe, std::int64_t length) {
  TrainConfig config = TinyConfig();
  config.quantize_model.use_quantize_model = recipe;
  config.model.d_model = 128;
  config.model.max_sequence_length = length;
  config.device_eval_batch_size = 1;
  config.evaluators.resize(1);
  config.evaluators[0].recipe = EvaluationRecipe::kTraining;
  return config;
}

/// The mean loss of a sequence of random tokens, by parameters of random numbers.
double MeanLoss(const TrainConfig& config, Context ctx) {
  EvaluationEngine engine(config, std::move(ctx));
  std::mt19937 generator(5);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  for (const Parameter& parameter : engine.model().parameters()) {
    std::vector<float> values(static_cast<std::size_t>(parameter.value.elements()));
    for (float& value : values) value = normal(generator);
    engine.context().Upload(values.data(), parameter.value);
  }
  std::vector<std::int32_t> ids(static_cast<std::size_t>(config.model.max_sequence_length));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(generator() % 61);
  engine.PrepareEvaluation(EvaluationRecipe::kTraining);
  const std::span<const float> losses = engine.EvaluateBatch(ids, ids, 1);
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

/// E4M3 rounds alike on both, and what it rounds differs in the last bits of bfloat16: a few codes change by 2^-3.
TEST(EvaluationTokens, AreAnyWithOneScaleATensorAndFoursWithScalesOfGroups) {
  for (const auto& [recipe, length] :
       {std::pair{QuantizeModel::kCoatReal, 33}, std::pair{QuantizeModel::kFp8Linear, 33},
        std::pair{QuantizeModel::kFp8DeepSeek, 36}}) {
    const TrainConfig config = Evaluated(recipe, length);
    EXPECT_NO_THROW(RequireFp8EvaluationTokens(config, OpenGpu()));
    const double expected = MeanLoss(config, Context(DeviceKind::kCpu, 2));
    EXPECT_NEAR(MeanLoss(config, OpenGpu()), expected, 0.01 * expected) << NameOf(recipe);
  }
}

TEST(EvaluationTokens, AreRefusedAtTheStartWhereTheyAreNotFours) {
  const TrainConfig config = Evaluated(QuantizeModel::kFp8DeepSeek, 33);
  const Context ctx = OpenGpu();
  if (!cuda::MultipliesFp8(*ctx.backend(), Scaling::kGroup))
    GTEST_SKIP() << "no FP8 products with scales of groups here";
  ExpectParts(ErrorOf<ConfigError>([&] { RequireFp8EvaluationTokens(config, ctx); }),
              {"evaluators[0].recipe", "sequences of 33 tokens", "multiples of 4"});
  const cuda::CudaOptions decoded = {.gemm = cuda::GemmMode::kBf16};
  EXPECT_NO_THROW(RequireFp8EvaluationTokens(config, OpenGpu(decoded)));
  const double expected = MeanLoss(config, Context(DeviceKind::kCpu, 2));
  EXPECT_NEAR(MeanLoss(config, OpenGpu(decoded)), expected, 0.01 * expected);
}

}  // namespace
}  // namespace coat
