#include "engine/architecture.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "base/error.h"
#include "config/tree.h"

namespace coat {

namespace {

/// Keys that are compared by what they come to together.
constexpr std::array<std::string_view, 6> kCombined = {"mlp_ratio",  "mlp_hidden_size", "n_kv_heads",
                                                       "vocab_size", "embedding_size",  "multi_query_attention"};
/// Keys that change nothing of what given parameters compute from given tokens.
constexpr std::array<std::string_view, 18> kFree = {"max_sequence_length",
                                                    "eos_token_id",
                                                    "pad_token_id",
                                                    "init_device",
                                                    "init_fn",
                                                    "init_std",
                                                    "init_cutoff_factor",
                                                    "scale_emb_init",
                                                    "emb_init_std",
                                                    "precision",
                                                    "attention_dropout",
                                                    "residual_dropout",
                                                    "embedding_dropout",
                                                    "flash_attention",
                                                    "alibi_bias_max",
                                                    "block_group_size",
                                                    "rope_full_precision",
                                                    "bias_for_layer_norm"};
/// Keys that may be changed on purpose when a model is trained further.
constexpr std::array<std::string_view, 5> kAdjustable = {"rope_theta", "clip_qkv", "layer_norm_eps", "layer_norm_type",
                                                         "scale_logits"};

bool IsAmong(std::string_view key, std::span<const std::string_view> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

class Comparison {
 public:
  Comparison(const std::string& file, const TrainConfig& config) : file_(file), config_(config) {}

  [[noreturn]] void Fail(std::string_view key, std::string_view found, std::string_view accepted) const {
    throw ConfigError(fmt::format("{}: found {}; accepted: {}, as in {}, whose parameters are to be loaded",
                                  config_.sources.Where(Below("model", key)), found, accepted, file_));
  }
  void Require(std::string_view key, std::string_view what, std::int64_t found, std::int64_t saved) const {
    if (found == saved) return;
    Fail(key, fmt::format("{} {}", found, what), std::to_string(saved));
  }
  std::string Warning(std::string_view key, std::string_view found, std::string_view saved) const {
    return fmt::format("{}: found {}; the model in {} was trained with {}", config_.sources.Where(Below("model", key)),
                       found, file_, saved);
  }

 private:
  const std::string& file_;
  const TrainConfig& config_;
};

std::string TextOf(const Node& value) {
  return value.kind == Node::Kind::kScalar ? value.text : Describe(value);
}

}  // namespace

std::vector<std::string> CompareArchitectures(const ModelConfig& saved, const std::string& file,
                                              const TrainConfig& config) {
  const ModelConfig& model = config.model;
  const Comparison comparison(file, config);
  std::vector<std::string> warnings;
  const Node saved_keys = ToNode(saved);
  const Node keys = ToNode(model);
  for (const auto& [key, value] : keys.entries) {
    if (IsAmong(key, kCombined) || IsAmong(key, kFree)) continue;
    if (key == "attention_layer_norm_with_affine" && !model.attention_layer_norm) continue;
    const std::string found = TextOf(value);
    const std::string expected = TextOf(*saved_keys.Find(key));
    if (found == expected) continue;
    const bool norms = key == "layer_norm_type" &&
                       (model.layer_norm_type == LayerNormType::kRms || saved.layer_norm_type == LayerNormType::kRms);
    if (norms || !IsAmong(key, kAdjustable)) comparison.Fail(key, found, expected);
    warnings.push_back(comparison.Warning(key, found, expected));
  }
  comparison.Require(model.mlp_hidden_size ? "mlp_hidden_size" : "mlp_ratio", "rows of ff_proj",
                     model.FeedForwardWidth(), saved.FeedForwardWidth());
  comparison.Require(model.n_kv_heads ? "n_kv_heads" : "multi_query_attention", "key and value heads", model.KvHeads(),
                     saved.KvHeads());
  comparison.Require(model.embedding_size ? "embedding_size" : "vocab_size", "rows of the embedding",
                     model.EmbeddingRows(), saved.EmbeddingRows());
  return warnings;
}

}  // namespace coat
