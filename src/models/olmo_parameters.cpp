// Names, shapes, counts and initialization of OLMo's parameters.

#include <cmath>
#include <string>

#include "base/error.h"
#include "models/olmo.h"

namespace coat {

namespace {

/// Standard deviations of one init_fn.
struct InitStd {
  double embedding, input_projection, attention_output, feed_forward_output, head, default_cutoff;
};

InitStd StdOf(const ModelConfig& config, std::int64_t layer) {
  const double d = static_cast<double>(config.d_model);
  const double h = static_cast<double>(config.HiddenWidth());
  const double std = config.init_std;
  const double depth = 2.0 * static_cast<double>(layer + 1);
  const double residual = std / std::sqrt(2.0 * static_cast<double>(config.n_layers));
  switch (config.init_fn) {
    case InitFunction::kNormal:
      return {std, std, std, std, std, 0.0};
    case InitFunction::kMitchell:
      return {1 / std::sqrt(d),         1 / std::sqrt(d), 1 / std::sqrt(depth * d),
              1 / std::sqrt(depth * h), 1 / std::sqrt(d), 3.0};
    case InitFunction::kFullMegatron:
      return {config.scale_emb_init ? std * std::sqrt(d) : std, std, residual, residual, 1 / std::sqrt(d), 3.0};
    case InitFunction::kKaimingNormal:
    case InitFunction::kFanIn:
      break;
  }
  throw ConfigError(
      "model.init_fn: kaiming_normal and fan_in are not implemented, in OLMo neither; "
      "accepted: normal, mitchell, full_megatron");
}

}  // namespace

std::vector<Parameter> OlmoParameters(const ModelConfig& config) {
  const std::int64_t d = config.d_model;
  std::vector<Parameter> parameters;
  std::int64_t layer = -1;
  const auto add = [&](const std::string& name, Shape shape, ParameterKind kind, double std, const InitStd& defaults) {
    Parameter parameter;
    parameter.name = name;
    parameter.shape = shape;
    parameter.part = {0, shape.elements()};
    parameter.kind = kind;
    parameter.layer = layer;
    parameter.initialization = {static_cast<float>(std),
                                static_cast<float>(config.init_cutoff_factor.value_or(defaults.default_cutoff))};
    parameters.push_back(parameter);
  };
  const InitStd outer = StdOf(config, 0);
  // RMSNorms stand behind the branches and have weights; LayerNorms ahead of them have none.
  const auto add_norm = [&](const std::string& name, std::int64_t width) {
    if (config.norm_after) add(name, {width}, ParameterKind::kNormWeight, 0.0, {});
  };
  add("transformer.wte.weight", {config.EmbeddingRows(), d}, ParameterKind::kEmbedding,
      config.emb_init_std.value_or(outer.embedding), outer);
  add_norm("transformer.ln_f.weight", d);
  for (layer = 0; layer < config.n_layers; ++layer) {
    const InitStd std = StdOf(config, layer);
    const std::string block = "transformer.blocks." + std::to_string(layer) + ".";
    if (config.attention_layer_norm) {
      add_norm(block + "k_norm.weight", config.KvHeads() * config.HeadSize());
      add_norm(block + "q_norm.weight", d);
    }
    add(block + "attn_out.weight", {d, d}, ParameterKind::kLinearWeight, std.attention_output, std);
    add(block + "ff_out.weight", {d, config.HiddenWidth()}, ParameterKind::kLinearWeight, std.feed_forward_output, std);
    add_norm(block + "attn_norm.weight", d);
    add_norm(block + "ff_norm.weight", d);
    add(block + "att_proj.weight", {config.QkvWidth(), d}, ParameterKind::kLinearWeight, std.input_projection, std);
    add(block + "ff_proj.weight", {config.FeedForwardWidth(), d}, ParameterKind::kLinearWeight, std.input_projection,
        std);
  }
  layer = -1;
  if (!config.weight_tying) {
    add("transformer.ff_out.weight", {config.EmbeddingRows(), d}, ParameterKind::kHeadWeight, outer.head, outer);
  }
  return parameters;
}

std::int64_t CountParameters(std::span<const Parameter> parameters) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters) count += parameter.shape.elements();
  return count;
}

std::int64_t CountNonEmbeddingParameters(std::span<const Parameter> parameters) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters) {
    if (parameter.kind != ParameterKind::kEmbedding) count += parameter.shape.elements();
  }
  return count;
}

double TrainingFlopsPerToken(const ModelConfig& config) {
  const std::vector<Parameter> parameters = OlmoParameters(config);
  const double attention = 12.0 * static_cast<double>(config.n_layers * config.d_model * config.max_sequence_length);
  return 2.0 * static_cast<double>(CountNonEmbeddingParameters(parameters)) +
         4.0 * static_cast<double>(CountParameters(parameters)) + attention;
}

}  // namespace coat
