#pragma once
// Whole runs of the `coat` command on a model that trains in a fraction of a second.

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/coat_process.h"
#include "tests/support/temp_dir.h"

namespace coat {

/// A folder with token files and a configuration that trains in a fraction of a second.
class TinyRun : public testing::Test {
 protected:
  static constexpr int kVocabulary = 100;
  static constexpr int kLength = 32;

  TinyRun() {
    std::mt19937 generator(3);
    std::string tokens;
    for (int i = 0; i < kLength * 40 + 5; ++i) AppendToken(tokens, static_cast<int>(generator() % kVocabulary));
    data_ = folder_.Write("train.npy", tokens);
    config_ =
        folder_.Write("run.yaml",
                      "run_name: test\n"
                      "model: {d_model: 64, n_heads: 2, n_layers: 2, mlp_ratio: 4, rope: true, include_bias: false,\n"
                      "        layer_norm_with_affine: false, attention_dropout: 0, residual_dropout: 0,\n"
                      "        embedding_dropout: 0, max_sequence_length: 32, vocab_size: 100, embedding_size: 128,\n"
                      "        eos_token_id: 99, pad_token_id: 99, init_fn: mitchell}\n"
                      "optimizer: {name: adamw, learning_rate: 1e-3, eps: 1e-8, metrics_log_interval: 4}\n"
                      "scheduler: {t_warmup: 3}\n"
                      "data: {paths: [" +
                          data_ +
                          "], drop_last: true}\n"
                          "evaluators:\n"
                          "- {label: held-out, data: {paths: [" +
                          data_ +
                          "]}}\n"
                          "precision: amp_bf16\n"
                          "global_train_batch_size: 6\n"
                          "device_train_microbatch_size: 4\n"
                          "device_eval_batch_size: 8\n"
                          "eval_interval: 5\n"
                          "max_duration: 12\n"
                          "max_grad_norm: 1.0\n"
                          "save_interval: 4\n"
                          "save_num_checkpoints_to_keep: 2\n");
  }

  static void AppendToken(std::string& tokens, int id) {
    tokens += static_cast<char>(id & 0xff);
    tokens += static_cast<char>(id >> 8);
  }

  std::string Save(const std::string& name) const { return folder_.File(name); }

  /// On the CPU: there, runs are compared bit for bit.
  std::vector<std::string> Train(const std::string& save, std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), "--device=cpu");
    return TrainAnywhere(save, overrides);
  }

  std::vector<std::string> TrainAnywhere(const std::string& save, const std::vector<std::string>& overrides) const {
    std::vector<std::string> arguments = {"train", config_, "--save_folder=" + Save(save)};
    arguments.insert(arguments.end(), overrides.begin(), overrides.end());
    return arguments;
  }

  /// metrics.jsonl without what a clock decides.
  std::vector<std::string> MetricsOf(const std::string& save) const {
    std::istringstream lines(folder_.Read(save + "/metrics.jsonl"));
    std::vector<std::string> kept;
    for (std::string line; std::getline(lines, line);) {
      std::string text;
      std::istringstream items(line);
      for (std::string item; std::getline(items, item, ',');) {
        if (item.find("per_second") == std::string::npos && item.find("System/") == std::string::npos) {
          text += item + ",";
        }
      }
      kept.push_back(text);
    }
    return kept;
  }

  /// The bytes of a checkpoint's tensors.
  std::string Tensors(const std::string& save, const std::string& step) const {
    return folder_.Read(save + "/" + step + "/model.safetensors") +
           folder_.Read(save + "/" + step + "/optim.safetensors");
  }

  TempDir folder_;
  std::string data_;
  std::string config_;
};

}  // namespace coat
