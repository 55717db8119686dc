// How parameters start, against the values of OLMo's formulas for each init_fn.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/small_model.h"

namespace coat {
namespace {

/// Standard deviations of the tensors of three layers with d_model 128 and an inner width of 256.
struct Expected {
  double embedding, input_projections;
  std::vector<double> attention_output, feed_forward_output;  // of each layer
  double head;
  double cutoff;  // in standard deviations; 0: none
};

ModelConfig ConfigOf(InitFunction init_fn) {
  ModelConfig config = SmallModel::Config();
  config.n_layers = 3;
  config.weight_tying = false;
  config.init_fn = init_fn;
  config.init_std = 0.03;
  return config;
}

double StdOf(const Expected& expected, const std::string& name) {
  if (name == "transformer.wte.weight") return expected.embedding;
  if (name == "transformer.ff_out.weight") return expected.head;
  if (name.find("_proj.weight") != std::string::npos) return expected.input_projections;
  const auto layer = static_cast<std::size_t>(name[std::string("transformer.blocks.").size()] - '0');
  const bool attention = name.find("attn_out") != std::string::npos;
  return (attention ? expected.attention_output : expected.feed_forward_output).at(layer);
}

/// The standard deviation of a standard normal number that is cut off at +-cutoff.
double StdWithin(double cutoff) {
  if (cutoff == 0.0) return 1.0;
  const double density = std::exp(-cutoff * cutoff / 2) / std::sqrt(2 * M_PI);
  return std::sqrt(1.0 - 2 * cutoff * density / std::erf(cutoff / std::sqrt(2.0)));
}

/// That the numbers of `x` are as from a normal distribution with this standard deviation, cut off there: mean and
/// deviation of n of them are off by 1 / sqrt(n) and 1 / sqrt(2 n) of it, of which five are accepted, and some of at
/// least 16384 lie beyond 0.9 times the cutoff of 3.
void ExpectNormal(ConstTensorView x, double std, double cutoff, const std::string& name) {
  const auto n = static_cast<double>(x.elements());
  ASSERT_GE(n, 16384) << name;
  double sum = 0.0;
  double squares = 0.0;
  double largest = 0.0;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const double value = x.As<float>()[i];
    sum += value;
    squares += value * value;
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_NEAR(sum / n, 0.0, 5 * std / std::sqrt(n)) << name;
  EXPECT_NEAR(std::sqrt(squares / n) / (std * StdWithin(cutoff)), 1.0, 5 / std::sqrt(2 * n)) << name;
  EXPECT_GT(largest, (cutoff == 0.0 ? 3.0 : 0.9 * cutoff) * std) << name;
  if (cutoff > 0.0) {
    EXPECT_LE(largest, cutoff * std * (1 + 0x1p-22)) << name;
  }
}

void ExpectInitialization(const ModelConfig& config, const Expected& expected) {
  const SmallModel small(config, PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone));
  ASSERT_EQ(small.model.parameters().size(), 2u + 3u * 4u);
  for (const Parameter& parameter : small.model.parameters()) {
    const double std = StdOf(expected, parameter.name);
    EXPECT_EQ(parameter.initialization.std, static_cast<float>(std)) << parameter.name;
    EXPECT_EQ(parameter.initialization.cutoff, static_cast<float>(expected.cutoff)) << parameter.name;
    ExpectNormal(parameter.value, std, expected.cutoff, parameter.name);
  }
}

const double kRoot = std::sqrt(2.0);
const std::vector<double> kMitchellAttention = {1 / 16.0, 1 / (16 * kRoot), 1 / std::sqrt(768.0)};
const std::vector<double> kMitchellFeedForward = {1 / (16 * kRoot), 1 / 32.0, 1 / std::sqrt(1536.0)};

TEST(Initialization, NormalHasOneDeviationForAll) {
  ExpectInitialization(ConfigOf(InitFunction::kNormal),
                       {0.03, 0.03, std::vector<double>(3, 0.03), std::vector<double>(3, 0.03), 0.03, 0.0});
}

TEST(Initialization, MitchellsShrinksWithWidthAndDepth) {
  ExpectInitialization(ConfigOf(InitFunction::kMitchell), {1 / (8 * kRoot), 1 / (8 * kRoot), kMitchellAttention,
                                                           kMitchellFeedForward, 1 / (8 * kRoot), 3.0});
}

TEST(Initialization, FullMegatronsShrinksWhatIsAddedToTheStream) {
  const std::vector<double> added(3, 0.03 / std::sqrt(6.0));
  ExpectInitialization(ConfigOf(InitFunction::kFullMegatron), {0.03, 0.03, added, added, 1 / (8 * kRoot), 3.0});
}

TEST(Initialization, FullMegatronScalesTheEmbeddingWhereItIsAskedTo) {
  ModelConfig config = ConfigOf(InitFunction::kFullMegatron);
  config.scale_emb_init = true;
  const std::vector<double> added(3, 0.03 / std::sqrt(6.0));
  ExpectInitialization(config, {0.03 * 8 * kRoot, 0.03, added, added, 1 / (8 * kRoot), 3.0});
}

TEST(Initialization, EmbeddingsOwnDeviationComesFirst) {
  const std::vector<double> added(3, 0.03 / std::sqrt(6.0));
  const auto with_own = [](InitFunction init_fn) {
    ModelConfig config = ConfigOf(init_fn);
    config.emb_init_std = 0.7;
    config.scale_emb_init = init_fn == InitFunction::kFullMegatron;
    return config;
  };
  ExpectInitialization(with_own(InitFunction::kNormal),
                       {0.7, 0.03, std::vector<double>(3, 0.03), std::vector<double>(3, 0.03), 0.03, 0.0});
  ExpectInitialization(with_own(InitFunction::kMitchell),
                       {0.7, 1 / (8 * kRoot), kMitchellAttention, kMitchellFeedForward, 1 / (8 * kRoot), 3.0});
  ExpectInitialization(with_own(InitFunction::kFullMegatron), {0.7, 0.03, added, added, 1 / (8 * kRoot), 3.0});
}

TEST(Initialization, IsCutOffWhereItIsAskedTo) {
  for (const InitFunction init_fn : {InitFunction::kNormal, InitFunction::kFullMegatron}) {
    ModelConfig config = ConfigOf(init_fn);
    config.init_cutoff_factor = 1.5;
    const bool normal = init_fn == InitFunction::kNormal;
    const std::vector<double> added(3, normal ? 0.03 : 0.03 / std::sqrt(6.0));
    ExpectInitialization(config, {0.03, 0.03, added, added, normal ? 0.03 : 1 / (8 * kRoot), 1.5});
  }
}

TEST(Initialization, StartsNormsAtOne) {
  const SmallModel small(SmallModel::Olmo2Config(), PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone));
  int norms = 0;
  for (const Parameter& parameter : small.model.parameters()) {
    if (parameter.kind != ParameterKind::kNormWeight) continue;
    const float* const begin = parameter.value.As<float>();
    EXPECT_TRUE(std::all_of(begin, begin + parameter.value.elements(), [](float x) { return x == 1.0f; }))
        << parameter.name;
    ++norms;
  }
  EXPECT_EQ(norms, 1 + 2 * 4);
}

}  // namespace
}  // namespace coat
