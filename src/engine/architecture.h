#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace coat {

/// Compares the model of a checkpoint with that of the run that is to load it. `file` is the checkpoint's config.yaml,
/// for messages.
///
/// Throws ConfigError naming the run's key where the two have other parameters, or compute something else with the same
/// ones: other widths, heads, layers, norms. Different spellings of one thing (mlp_ratio and mlp_hidden_size,
/// n_kv_heads and multi_query_attention, vocab_size and embedding_size) are the same. Returns a warning for each key
/// that may be changed on purpose and changes what the model computes: rope_theta, clip_qkv, layer_norm_eps,
/// layer_norm_type from default to low_precision or back, scale_logits. Lengths of sequences, initialization, dropout
/// and tokens with a meaning may differ without a word.
std::vector<std::string> CompareArchitectures(const ModelConfig& saved, const std::string& file,
                                              const TrainConfig& config);

}  // namespace coat
