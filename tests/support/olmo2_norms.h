#pragma once

#include "config/model_config.h"

namespace coat {

/// Gives a model the norms of OLMo 2: RMSNorms with weights behind the branches, and of queries and keys.
inline void UseOlmo2Norms(ModelConfig& config) {
  config.layer_norm_type = LayerNormType::kRms;
  config.layer_norm_with_affine = true;
  config.layer_norm_eps = 1e-6;
  config.attention_layer_norm = true;
  config.attention_layer_norm_with_affine = true;
  config.norm_after = true;
}

}  // namespace coat
