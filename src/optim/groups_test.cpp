#include "optim/groups.h"

#include <gtest/gtest.h>

#include "tests/support/test_parameters.h"

namespace coat {
namespace {

TEST(ParameterGroups, DecayLinearWeightsAndOthersOnlyWhenAsked) {
  TestParameters parameters;
  parameters.Add("transformer.wte.weight", {4, 2}, ParameterKind::kEmbedding);
  parameters.Add("transformer.blocks.0.att_proj.weight", {2, 2});
  parameters.Add("transformer.blocks.0.q_norm.weight", {2}, ParameterKind::kNormWeight);
  parameters.Add("transformer.ff_out.weight", {4, 2});
  OptimizerConfig config;
  EXPECT_EQ(ParameterGroups(config, parameters.all()), (std::vector<int>{1, 0, 1, 0}));
  config.decay_embeddings = true;
  EXPECT_EQ(ParameterGroups(config, parameters.all()), (std::vector<int>{0, 0, 1, 0}));
  config.decay_embeddings = false;
  config.decay_norm_and_bias = true;
  EXPECT_EQ(ParameterGroups(config, parameters.all()), (std::vector<int>{1, 0, 0, 0}));
}

}  // namespace
}  // namespace coat
