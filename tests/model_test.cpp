// Whole micro-batches of a small model: gradients against differences of the loss, recipes against float32.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "numerics/bfloat16.h"
#include "tests/support/rounding.h"
#include "tests/support/small_model.h"

namespace coat {
namespace {

Recipe Float32() {
  return PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone);
}

TrainConfig ConfigOf(std::optional<QuantizeModel> recipe) {
  TrainConfig config;
  config.precision = Precision::kAmpBf16;
  config.quantize_model.use_quantize_model = recipe;
  return config;
}

double Dot(const SmallModel& a, const SmallModel& b) {
  double sum = 0.0;
  for (std::size_t p = 0; p < a.model.parameters().size(); ++p) {
    const TensorView x = a.model.parameters()[p].grad;
    const TensorView y = b.model.parameters()[p].grad;
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      sum += static_cast<double>(x.As<float>()[i]) * static_cast<double>(y.As<float>()[i]);
    }
  }
  return sum;
}

/// The objective's error by float32, root mean square: of each token's loss the errors of two numbers, the label's
/// logit and the logarithm of the others' sum, where logits have a root mean square of 1, and the rounding of a number
/// below 8; with the square of that logarithm twice its weight and size more.
double ObjectiveRounding(const ModelConfig& config, double tokens, double z_weight) {
  const double of_logits = kOfTwo * ForwardRounding(config, static_cast<double>(config.max_sequence_length));
  return std::sqrt(tokens) * std::hypot(of_logits, 0x1p-22) * (1.0 + 2.0 * 8.0 * z_weight);
}

/// Compares the gradient along itself with differences of the objective between points on that line.
void ExpectGradientIsTheSlope(const ModelConfig& config, float z_weight) {
  SmallModel small(config, Float32());
  small.ForwardBackward(1.0f, z_weight);
  for (const Parameter& parameter : small.model.parameters()) {
    const TensorView value = parameter.value;
    const TensorView grad = parameter.grad;
    const std::vector<float> start(value.As<float>(), value.As<float>() + value.elements());
    double squared_norm = 0.0;
    for (std::int64_t i = 0; i < grad.elements(); ++i) squared_norm += std::pow(grad.As<float>()[i], 2);
    ASSERT_GT(squared_norm, 0.0) << parameter.name << " gets no gradient";
    // Steps that change the objective by about 0.1 and 0.2, far above its rounding error of 1e-5.
    const double step = 0.05 / squared_norm;
    const auto objective_at = [&](double distance) {
      for (std::int64_t i = 0; i < value.elements(); ++i) {
        value.As<float>()[i] = start[static_cast<std::size_t>(i)] + static_cast<float>(distance * grad.As<float>()[i]);
      }
      return small.Forward(1.0f, z_weight);
    };
    const auto slope_over = [&](double length) {
      return (objective_at(length) - objective_at(-length)) / (2.0 * length);
    };
    // What both slopes are off by, as the square of the step, goes away; the roundings of four objectives stay.
    const double slope = (4.0 * slope_over(step) - slope_over(2.0 * step)) / 3.0;
    std::copy(start.begin(), start.end(), value.As<float>());
    const double rounding = ObjectiveRounding(config, static_cast<double>(small.ids.elements()), z_weight);
    const double of_slope = kOfTwo * rounding / 0.1 * std::hypot(4.0 / 3.0, 1.0 / 3.0 / 2.0);
    EXPECT_NEAR(slope / squared_norm, 1.0, kStandardDeviations * of_slope) << parameter.name;
  }
}

TEST(Model, GradientIsTheSlopeOfTheLoss) {
  ExpectGradientIsTheSlope(SmallModel::Config(), 0.0f);
}

TEST(Model, GradientIsTheSlopeWithZLossAndScaledLogitsAndOwnHead) {
  ModelConfig config = SmallModel::Config();
  config.weight_tying = false;
  config.scale_logits = true;
  ExpectGradientIsTheSlope(config, 0.05f);
}

TEST(Model, GradientIsTheSlopeWithGroupedQueries) {
  ModelConfig config = SmallModel::Config();
  config.n_kv_heads = 2;
  config.clip_qkv = 1.5;
  ExpectGradientIsTheSlope(config, 0.0f);
}

TEST(Model, GradientIsTheSlopeWithOneKeyHeadAndAnOddLength) {
  ModelConfig config = SmallModel::Config();
  config.multi_query_attention = true;
  config.max_sequence_length = 37;
  config.mlp_hidden_size = 96;
  ExpectGradientIsTheSlope(config, 0.0f);
}

TEST(Model, GradientIsTheSlopeWithTheNormsOfOlmo2) {
  ExpectGradientIsTheSlope(SmallModel::Olmo2Config(), 0.05f);
}

TEST(Model, GradientIsTheSlopeWithNormsAfterTheBranchesAndNoneOfQueriesAndKeys) {
  ModelConfig config = SmallModel::Olmo2Config();
  config.attention_layer_norm = false;
  config.clip_qkv = 1.5;
  config.weight_tying = true;
  ExpectGradientIsTheSlope(config, 0.0f);
}

TEST(Model, AccumulatesOverMicroBatches) {
  for (const ModelConfig& config : {SmallModel::Config(), SmallModel::Olmo2Config()}) {
    SmallModel once(config, Float32());
    SmallModel twice(config, Float32());
    once.ForwardBackward(1.0f);
    twice.ForwardBackward(0.5f);
    twice.ForwardBackward(0.5f);
    // The halves are exact; what differs are roundings of float32 where sums of a token's terms go on from a sum.
    const double squared = Dot(twice, twice) - 2.0 * Dot(twice, once) + Dot(once, once);
    EXPECT_LT(squared / Dot(once, once), std::pow(static_cast<double>(once.ids.elements()) * 0x1p-24, 2));
  }
}

TEST(Model, StartsNormWeightsAtOne) {
  SmallModel small(SmallModel::Olmo2Config(), Float32());
  int norms = 0;
  for (const Parameter& parameter : small.model.parameters()) {
    if (parameter.kind != ParameterKind::kNormWeight) continue;
    ++norms;
    for (std::int64_t i = 0; i < parameter.value.elements(); ++i) ASSERT_EQ(parameter.value.As<float>()[i], 1.0f);
  }
  EXPECT_EQ(norms, 2 * 4 + 1);
}

struct RecipeCase {
  std::string name;
  ModelConfig model;
  std::optional<QuantizeModel> recipe;
  int group_size;
  double loss_tolerance;  // relative to float32's loss
  double cosine;          // of the gradient with float32's
};

class RecipeTest : public testing::TestWithParam<RecipeCase> {
 protected:
  TrainConfig Config() const {
    TrainConfig config = ConfigOf(GetParam().recipe);
    config.quantize_model.group_size = GetParam().group_size;
    return config;
  }
};

TEST_P(RecipeTest, StaysCloseToFloat32) {
  SmallModel exact(GetParam().model, Float32());
  SmallModel recipe(GetParam().model, MakeRecipe(Config()));
  const double exact_loss = exact.ForwardBackward();
  const double loss = recipe.ForwardBackward();
  EXPECT_NEAR(loss / exact_loss, 1.0, GetParam().loss_tolerance);
  EXPECT_NE(loss, exact_loss) << "the recipe changed nothing";
  const double cosine = Dot(exact, recipe) / std::sqrt(Dot(exact, exact) * Dot(recipe, recipe));
  EXPECT_GT(cosine, GetParam().cosine);
  EXPECT_NEAR(std::sqrt(Dot(recipe, recipe) / Dot(exact, exact)), 1.0, 0.05);
}

TEST_P(RecipeTest, KeepsOrRemakesWeightsWithTheSameResult) {
  TrainConfig config = Config();
  SmallModel cached(GetParam().model, MakeRecipe(config));
  const double loss = cached.ForwardBackward();
  for (const WeightCache kept : {WeightCache::kNone, WeightCache::kCodes}) {
    config.quantize_model.weight_cache = kept;
    SmallModel remade(GetParam().model, MakeRecipe(config));
    EXPECT_EQ(loss, remade.ForwardBackward());
    for (std::size_t p = 0; p < cached.model.parameters().size(); ++p) {
      const Parameter& parameter = cached.model.parameters()[p];
      EXPECT_EQ(std::memcmp(parameter.grad.data(), remade.model.parameters()[p].grad.data(),
                            static_cast<std::size_t>(parameter.grad.bytes())),
                0)
          << parameter.name << " with " << NameOf(kept);
    }
  }
}

TEST_P(RecipeTest, GivesTheSameBytesOnAnyNumberOfThreadsAndAgain) {
  SmallModel one(GetParam().model, MakeRecipe(Config()), 1);
  SmallModel three(GetParam().model, MakeRecipe(Config()), 3);
  SmallModel again(GetParam().model, MakeRecipe(Config()), 3);
  EXPECT_EQ(one.ForwardBackward(), three.ForwardBackward());
  again.ForwardBackward();
  for (std::size_t p = 0; p < one.model.parameters().size(); ++p) {
    const TensorView grad = one.model.parameters()[p].grad;
    const auto bytes = static_cast<std::size_t>(grad.bytes());
    EXPECT_EQ(std::memcmp(grad.data(), three.model.parameters()[p].grad.data(), bytes), 0);
    EXPECT_EQ(std::memcmp(grad.data(), again.model.parameters()[p].grad.data(), bytes), 0);
  }
}

// The cosine of a gradient with relative error e is 1 / sqrt(1 + e^2). Rounding a normal value to E5M2 errs by about 6
// % of it, to E4M3 by 3 %; some twenty such roundings lie on the way of a gradient here, adding up to e = 0.2 or less.
//
// The loss errs by the mean of what 110 tokens' losses err, each by two numbers of the size of its logits, which is 1:
// in bf16 by LogitRounding of that; in FP8 by 3 % for either operand of eight products, each a part of about half of
// the stream. Of the loss, about log(250), six standard deviations of the former are 8e-4, and of the latter 3.4 are
// 5e-3.
std::vector<RecipeCase> RecipeCases() {
  std::vector<RecipeCase> cases;
  for (const bool olmo2 : {false, true}) {
    const auto add = [&](const std::string& name, std::optional<QuantizeModel> recipe, int group_size,
                         double loss_tolerance, double cosine) {
      cases.push_back({olmo2 ? name + "_olmo2" : name, olmo2 ? SmallModel::Olmo2Config() : SmallModel::Config(), recipe,
                       group_size, loss_tolerance, cosine});
    };
    add("bf16", std::nullopt, 16, 8e-4, 0.9995);
    add("fp8linear", QuantizeModel::kFp8Linear, 16, 5e-3, 0.97);
    add("fp8deepseek", QuantizeModel::kFp8DeepSeek, 16, 5e-3, 0.98);
    add("coat_g16", QuantizeModel::kCoatReal, 16, 5e-3, 0.97);
    add("coat_g128", QuantizeModel::kCoatReal, 128, 5e-3, 0.97);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, RecipeTest, testing::ValuesIn(RecipeCases()),
                         [](const testing::TestParamInfo<RecipeCase>& info) { return info.param.name; });

void ExpectGradientsToRoundOnce(const ModelConfig& model) {
  TrainConfig config = ConfigOf(QuantizeModel::kCoatReal);
  config.gradient_precision = GradientPrecision::kBf16;
  SmallModel narrow(model, MakeRecipe(config));
  SmallModel wide(model, MakeRecipe(ConfigOf(QuantizeModel::kCoatReal)));
  narrow.ForwardBackward();
  wide.ForwardBackward();
  for (std::size_t p = 0; p < wide.model.parameters().size(); ++p) {
    const TensorView a = narrow.model.parameters()[p].grad;
    const TensorView b = wide.model.parameters()[p].grad;
    ASSERT_EQ(a.dtype(), DType::kBF16);
    double error = 0.0;
    double norm = 0.0;
    for (std::int64_t i = 0; i < a.elements(); ++i) {
      const double exact = b.As<float>()[i];
      error += std::pow(ToFloat(a.As<BFloat16>()[i]) - exact, 2);
      norm += exact * exact;
    }
    // One rounding an addition: the embedding gets two, everything else one.
    EXPECT_LT(std::sqrt(error / norm), 0x1p-8) << wide.model.parameters()[p].name;
  }
}

TEST(Recipe, AccumulatesGradientsInBFloat16WhenAsked) {
  ExpectGradientsToRoundOnce(SmallModel::Config());
  ExpectGradientsToRoundOnce(SmallModel::Olmo2Config());
}

}  // namespace
}  // namespace coat
