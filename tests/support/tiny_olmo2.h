#pragma once

#include "config/model_config.h"
#include "tests/support/olmo2_norms.h"

namespace coat {

/// The model of tests/golden/olmo2_tiny.safetensors and tests/golden/hf_olmo2_tiny.
inline ModelConfig TinyOlmo2() {
  ModelConfig config;
  config.d_model = 128;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.n_layers = 2;
  config.mlp_hidden_size = 256;
  config.vocab_size = 500;
  config.embedding_size = 512;
  config.max_sequence_length = 256;
  config.eos_token_id = 499;
  config.pad_token_id = 1;
  config.rope = true;
  config.rope_theta = 500000;
  config.weight_tying = false;
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = 0.0;
  config.include_bias = false;
  UseOlmo2Norms(config);
  return config;
}

}  // namespace coat
