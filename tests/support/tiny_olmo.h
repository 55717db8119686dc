#pragma once

#include "config/model_config.h"

namespace coat {

/// The model of tests/golden/olmo_tiny.safetensors.
inline ModelConfig TinyOlmo() {
  ModelConfig config;
  config.d_model = 128;
  config.n_heads = 2;
  config.n_layers = 2;
  config.mlp_ratio = 8;
  config.vocab_size = 500;
  config.embedding_size = 512;
  config.max_sequence_length = 256;
  config.eos_token_id = 499;
  config.pad_token_id = 1;
  config.rope = true;
  config.weight_tying = true;
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = 0.0;
  config.include_bias = false;
  config.layer_norm_with_affine = false;
  return config;
}

}  // namespace coat
