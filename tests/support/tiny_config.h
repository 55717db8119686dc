#pragma once

#include "config/config.h"
#include "tests/support/olmo2_norms.h"

namespace coat {

/// A configuration small enough for a test: 2 layers of width 64, sequences of 64 tokens, two micro-batches of 4.
inline TrainConfig TinyConfig() {
  TrainConfig config;
  config.run_name = "test";
  config.precision = Precision::kAmpBf16;
  config.model.d_model = 64;
  config.model.n_heads = 2;
  config.model.n_layers = 2;
  config.model.mlp_ratio = 4;
  config.model.rope = true;
  config.model.init_fn = InitFunction::kMitchell;
  config.model.max_sequence_length = 64;
  config.model.vocab_size = 61;
  config.model.embedding_size = 64;
  config.optimizer.name = OptimizerName::kAdamW;
  config.optimizer.learning_rate = 3e-3;
  config.optimizer.weight_decay = 0.1;
  config.optimizer.eps = 1e-8;
  config.global_train_batch_size = 8;
  config.device_train_microbatch_size = 4;
  config.max_grad_norm = 1.0;
  return config;
}

/// The same with the norms of OLMo 2, grouped queries and a head of its own.
inline TrainConfig TinyOlmo2Config() {
  TrainConfig config = TinyConfig();
  UseOlmo2Norms(config.model);
  config.model.n_kv_heads = 1;
  config.model.rope_theta = 500000;
  config.model.weight_tying = false;
  config.optimizer.decay_norm_and_bias = true;
  return config;
}

/// The shape of OLMo-1B, with the micro-batch of COAT's configuration: for what is measured and not run.
inline TrainConfig OneBillionConfig() {
  TrainConfig config = TinyConfig();
  config.model.d_model = 2048;
  config.model.n_heads = 16;
  config.model.n_layers = 16;
  config.model.mlp_ratio = 8;
  config.model.max_sequence_length = 2048;
  config.model.vocab_size = 50280;
  config.model.embedding_size = 50304;
  config.device_train_microbatch_size = 8;
  return config;
}

inline void UseCoatActivations(TrainConfig& config) {
  config.quantize_model.use_quantize_model = QuantizeModel::kCoatReal;
}

inline void UseCoatOptimizer(TrainConfig& config) {
  config.quantize_optimizer.use_quantize_optimizer = QuantizeOptimizer::kCoatFp8AdamW;
  config.quantize_optimizer.first_order_expansion = Expansion::kOn;
  config.quantize_optimizer.second_order_expansion = Expansion::kOn;
}

}  // namespace coat
