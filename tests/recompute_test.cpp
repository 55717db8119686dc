// activation_checkpointing: which blocks run forward again, with the same bytes as results, and in how much memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "config/enumerations.h"
#include "engine/engine.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

constexpr std::int64_t kLayers = 5;

/// A strategy with the layers that it recomputes, and what lies in `saved` at its fullest: when backward has made the
/// activations of the last of them, or at the end of forward.
struct StrategyCase {
  ActivationCheckpointing strategy;
  std::vector<std::int64_t> layers;
  std::int64_t blocks = 0;  // with all their activations
};

void PrintTo(const StrategyCase& c, std::ostream* out) {
  *out << NameOf(c.strategy);
}

std::string NameOfCase(const testing::TestParamInfo<StrategyCase>& info) {
  return std::string(NameOf(info.param.strategy));
}

class StrategyTest : public testing::TestWithParam<StrategyCase> {};

TrainConfig FiveLayers(std::optional<QuantizeModel> recipe, std::optional<ActivationCheckpointing> strategy) {
  TrainConfig config = TinyConfig();
  config.model.n_layers = kLayers;
  config.quantize_model.use_quantize_model = recipe;
  config.activation_checkpointing = strategy;
  return config;
}

std::vector<ModelConfig> FiveSmallLayers() {
  std::vector<ModelConfig> configs = {SmallModel::Config(), SmallModel::Olmo2Config()};
  for (ModelConfig& config : configs) config.n_layers = kLayers;
  return configs;
}

void ExpectSameBytes(ConstTensorView a, ConstTensorView b, const std::string& what) {
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0) << what;
}

/// One micro-batch on arenas: measuring ones, or bound to exactly what those have counted.
struct MicroBatchRun {
  MicroBatchRun(Context context, const ModelConfig& config, const Recipe& recipe,
                const std::vector<std::int64_t>& sizes)
      : ctx(std::move(context)) {
    for (std::size_t i = 0; i < 6; ++i) {
      const std::string name = std::to_string(i);
      arenas.push_back(sizes.empty() ? Arena::Measuring(name) : Arena::Bound(name, ctx, sizes[i]));
    }
    Olmo model(config, recipe);
    Arena exchange = Arena::Measuring("exchange");
    model.LayOut(ctx, {}, arenas[0], arenas[1], arenas[2], exchange);
    model.Initialize(ctx, 1);
    const MicroBatch batch = {.ids = arenas[5].Tensor("ids", {128}, DType::kI32),
                              .sequences = 2,
                              .terms = {.labels = arenas[5].Tensor("labels", {128}, DType::kI32),
                                        .loss = arenas[5].Tensor("loss", {128}, DType::kF32),
                                        .z_squared = arenas[5].Tensor("z_squared", {128}, DType::kF32),
                                        .weights = arenas[5].Tensor("loss.weights", {2}, DType::kF32)}};
    model.RefreshWeights(ctx);
    model.ForwardBackward(ctx, batch, arenas[3], arenas[4]);
  }
  std::vector<std::int64_t> Peaks() const {
    std::vector<std::int64_t> peaks;
    for (const Arena& arena : arenas) peaks.push_back(arena.peak_bytes());
    return peaks;
  }

  Context ctx;
  std::vector<Arena> arenas;
};

TEST_P(StrategyTest, RecomputesTheLayersOfOlmo) {
  const Recipe recipe = MakeRecipe(FiveLayers(std::nullopt, GetParam().strategy));
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    if (recipe.Recomputes(layer)) layers.push_back(layer);
  }
  EXPECT_EQ(layers, GetParam().layers);
}

TEST_P(StrategyTest, ChangesNoByteOfLossesAndGradients) {
  std::vector<std::optional<QuantizeModel>> recipes = {std::nullopt, QuantizeModel::kCoatReal};
  if (GetParam().strategy == ActivationCheckpointing::kWholeLayer) {
    recipes.insert(recipes.end(), {QuantizeModel::kFp8Linear, QuantizeModel::kFp8DeepSeek});
  }
  for (const ModelConfig& model : FiveSmallLayers()) {
    for (const std::optional<QuantizeModel> recipe : recipes) {
      SmallModel kept(model, MakeRecipe(FiveLayers(recipe, std::nullopt)));
      SmallModel recomputed(model, MakeRecipe(FiveLayers(recipe, GetParam().strategy)));
      const std::string name = kept.model.recipe().name;
      EXPECT_EQ(kept.ForwardBackward(1.0f, 0.01f), recomputed.ForwardBackward(1.0f, 0.01f)) << name;
      ExpectSameBytes(kept.loss, recomputed.loss, name + ": loss");
      ExpectSameBytes(kept.z_squared, recomputed.z_squared, name + ": z_squared");
      for (std::size_t p = 0; p < kept.model.parameters().size(); ++p) {
        const Parameter& parameter = kept.model.parameters()[p];
        ExpectSameBytes(parameter.grad, recomputed.model.parameters()[p].grad, name + ": " + parameter.name);
      }
    }
  }
}

TEST_P(StrategyTest, NeedsWhatTheMeasurementSays) {
  for (const std::optional<QuantizeModel> recipe :
       {std::optional<QuantizeModel>(), std::optional(QuantizeModel::kCoatReal)}) {
    const Recipe made = MakeRecipe(FiveLayers(recipe, GetParam().strategy));
    for (const ModelConfig& model : FiveSmallLayers()) {
      const MicroBatchRun measured(Context(DeviceKind::kMeta), model, made, {});
      const MicroBatchRun used(Context(DeviceKind::kCpu, 2), model, made, measured.Peaks());
      EXPECT_EQ(used.Peaks(), measured.Peaks()) << made.name;
      EXPECT_EQ(used.arenas[3].used_bytes(), 0);
    }
  }
}

TEST_P(StrategyTest, PlansOneBlockBesideTheInputs) {
  for (const std::optional<QuantizeModel> recipe :
       {std::optional<QuantizeModel>(), std::optional(QuantizeModel::kCoatReal)}) {
    const TrainConfig config = FiveLayers(recipe, std::nullopt);
    const MemoryPlan all = Engine::Measure(config);
    const MemoryPlan plan = Engine::Measure(FiveLayers(recipe, GetParam().strategy));
    // Everything is a multiple of the arena's alignment here, but for the scalars, which add up in `all`.
    const std::int64_t input = plan.tokens * config.model.d_model * 2;
    const std::int64_t block = all.Bytes("saved") / kLayers;
    const auto inputs = static_cast<std::int64_t>(GetParam().layers.size());
    EXPECT_EQ(plan.Bytes("saved"), GetParam().blocks * block + inputs * input);
    EXPECT_LT(plan.Bytes("saved"), all.Bytes("saved"));
    for (const char* same : {"masters", "gradients", "weights", "moments", "metadata", "batch"}) {
      EXPECT_EQ(plan.Bytes(same), all.Bytes(same)) << same;
    }
    const auto kind = [&](const std::string& name) {
      return std::find_if(plan.saved.begin(), plan.saved.end(), [&](const auto& line) { return line.name == name; });
    };
    ASSERT_NE(kind("block_input"), plan.saved.end());
    EXPECT_EQ(kind("block_input")->bytes, inputs * input);
    EXPECT_EQ(kind("qkv") == plan.saved.end(), inputs == kLayers);
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, StrategyTest,
                         testing::Values(StrategyCase{ActivationCheckpointing::kWholeLayer, {0, 1, 2, 3, 4}, 1},
                                         StrategyCase{ActivationCheckpointing::kOneInTwo, {0, 2, 4}, 3},
                                         StrategyCase{ActivationCheckpointing::kOneInThree, {0, 3}, 3},
                                         StrategyCase{ActivationCheckpointing::kOneInFour, {0, 4}, 4},
                                         StrategyCase{ActivationCheckpointing::kOneInEight, {0}, 4},
                                         StrategyCase{ActivationCheckpointing::kTwoInThree, {1, 2, 4}, 3},
                                         StrategyCase{ActivationCheckpointing::kThreeInFour, {1, 2, 3}, 2}),
                         NameOfCase);

TEST(Checkpointing, KeepsEverythingUnlessAsked) {
  const Recipe recipe = MakeRecipe(FiveLayers(std::nullopt, std::nullopt));
  for (std::int64_t layer = 0; layer < kLayers; ++layer) EXPECT_FALSE(recipe.Recomputes(layer));
}

}  // namespace
}  // namespace coat
