#pragma once

#include <string>
#include <vector>

#include "tests/support/coat_process.h"
#include "tests/support/temp_dir.h"

namespace coat {

/// Writes token files and a configuration that trains 12 steps in a fraction of a second, evaluates every 5 and saves
/// every 4. Returns the path of the configuration.
inline std::string WriteSmallRun(const TempDir& folder) {
  std::string tokens;
  for (int i = 0; i < 32 * 40; ++i) tokens += {static_cast<char>(i * i % 97), '\0'};
  const std::string data = folder.Write("train.npy", tokens);
  return folder.Write(
      "run.yaml",
      "run_name: small\n"
      "model: {d_model: 64, n_heads: 2, n_layers: 2, mlp_ratio: 4, rope: true, include_bias: false,\n"
      "        layer_norm_with_affine: false, attention_dropout: 0, residual_dropout: 0, embedding_dropout: 0,\n"
      "        max_sequence_length: 32, vocab_size: 100, embedding_size: 128, eos_token_id: 99, pad_token_id: 99,\n"
      "        init_fn: mitchell}\n"
      "optimizer: {name: adamw, learning_rate: 1e-3, eps: 1e-8, metrics_log_interval: 4}\n"
      "scheduler: {t_warmup: 3}\n"
      "data: {paths: [" +
          data +
          "], drop_last: true}\n"
          "evaluators: [{label: held-out, data: {paths: [" +
          data +
          "]}}]\n"
          "precision: amp_bf16\n"
          "global_train_batch_size: 6\n"
          "device_train_microbatch_size: 4\n"
          "device_eval_batch_size: 8\n"
          "eval_interval: 5\n"
          "max_duration: 12\n"
          "max_grad_norm: 1.0\n"
          "save_interval: 4\n");
}

/// Trains the configuration `config` on the CPU into `save_folder`.
inline Outcome TrainSmallRun(const std::string& config, const std::string& save_folder,
                             const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> arguments = {"train", config, "--device=cpu", "--threads=1", "--save_folder=" + save_folder};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  return RunCoat(arguments);
}

}  // namespace coat
