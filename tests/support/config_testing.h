#pragma once
// For the tests of this layer.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "config/load.h"

namespace coat {

/// The message of the ConfigError that `function` throws, or a text that no test expects.
template <class Function>
std::string ConfigErrorOf(Function&& function) {
  try {
    function();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

/// A configuration that Validate accepts, six lines long, so that a test's own lines begin at line 7.
inline const std::string kSmallConfig =
    "run_name: small\n"
    "precision: amp_bf16\n"
    "data: {paths: [a.npy]}\n"
    "model: &model {d_model: 64, n_heads: 4, n_layers: 2, rope: true, include_bias: false, attention_dropout: 0.0,\n"
    "  residual_dropout: 0.0, embedding_dropout: 0.0, layer_norm_with_affine: false, max_sequence_length: 64}\n"
    "optimizer: &optimizer {name: adamw}\n";

inline TrainConfig Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ParseTrainConfig(text, "x.yaml", overrides);
}

inline std::string ParseError(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ConfigErrorOf([&] { Parse(text, overrides); });
}

}  // namespace coat
