#include "engine/architecture.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

using Change = std::function<void(ModelConfig&)>;

/// The warnings for a run whose model was changed, loading a checkpoint of the unchanged one.
std::vector<std::string> Compare(
    const Change& change, const Change& change_saved = [](ModelConfig&) {}) {
  TrainConfig config = TinyConfig();
  ModelConfig saved = config.model;
  change_saved(saved);
  change(config.model);
  return CompareArchitectures(saved, "first/step4/config.yaml", config);
}

TEST(CompareArchitectures, NamesTheKeyThatMakesAnotherModel) {
  const struct {
    std::string key, found, accepted;
    Change change;
  } cases[] = {
      {"model.d_model", "found 128", "accepted: 64", [](ModelConfig& m) { m.d_model = 128; }},
      {"model.n_layers", "found 3", "accepted: 2", [](ModelConfig& m) { m.n_layers = 3; }},
      {"model.n_heads", "found 4", "accepted: 2", [](ModelConfig& m) { m.n_heads = 4; }},
      {"model.n_kv_heads", "found 1 key and value heads", "accepted: 2", [](ModelConfig& m) { m.n_kv_heads = 1; }},
      {"model.multi_query_attention", "found 1 key", "accepted: 2",
       [](ModelConfig& m) { m.multi_query_attention = true; }},
      {"model.mlp_ratio", "found 512 rows", "accepted: 256", [](ModelConfig& m) { m.mlp_ratio = 8; }},
      {"model.mlp_hidden_size", "found 96 rows", "accepted: 256", [](ModelConfig& m) { m.mlp_hidden_size = 96; }},
      {"model.embedding_size", "found 128 rows", "accepted: 64", [](ModelConfig& m) { m.embedding_size = 128; }},
      {"model.vocab_size", "found 61 rows", "accepted: 64", [](ModelConfig& m) { m.embedding_size = std::nullopt; }},
      {"model.weight_tying", "found false", "accepted: true", [](ModelConfig& m) { m.weight_tying = false; }},
      {"model.layer_norm_type", "found rms", "accepted: default",
       [](ModelConfig& m) { m.layer_norm_type = LayerNormType::kRms; }},
      {"model.attention_layer_norm", "found true", "accepted: false",
       [](ModelConfig& m) { m.attention_layer_norm = true; }},
      {"model.norm_after", "found true", "accepted: false", [](ModelConfig& m) { m.norm_after = true; }},
  };
  for (const auto& c : cases) {
    ExpectParts(ErrorOf<ConfigError>([&] { Compare(c.change); }),
                {c.key, c.found, c.accepted, "first/step4/config.yaml"});
  }
}

TEST(CompareArchitectures, WarnsOfWhatMayBeChangedOnPurpose) {
  EXPECT_TRUE(Compare([](ModelConfig&) {}).empty());
  const std::vector<std::string> warnings = Compare([](ModelConfig& m) {
    m.rope_theta = 500000;
    m.clip_qkv = 8.0;
    m.layer_norm_type = LayerNormType::kLowPrecision;
  });
  ASSERT_EQ(warnings.size(), 3u);
  ExpectParts(warnings[0], {"model.clip_qkv", "found 8", "first/step4/config.yaml", "trained with null"});
  ExpectParts(warnings[1], {"model.rope_theta", "found 500000", "trained with 10000"});
  ExpectParts(warnings[2], {"model.layer_norm_type", "found low_precision", "trained with default"});
}

TEST(CompareArchitectures, TakesOtherSpellingsAndWhatTheParametersDoNotShow) {
  const std::vector<std::string> warnings = Compare(
      [](ModelConfig& m) {
        m.mlp_ratio = 7;
        m.mlp_hidden_size = 256;
        m.n_kv_heads = 2;
        m.embedding_size = std::nullopt;
        m.vocab_size = 64;
        m.max_sequence_length = 16;
        m.eos_token_id = 3;
        m.init_fn = InitFunction::kNormal;
        m.init_std = 0.5;
        m.residual_dropout = 0.0;
        m.attention_layer_norm_with_affine = false;  // there is no norm of queries and keys
      },
      [](ModelConfig& m) { m.n_kv_heads = std::nullopt; });
  EXPECT_TRUE(warnings.empty());
}

}  // namespace
}  // namespace coat
