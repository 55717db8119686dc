#pragma once
// The architecture in a Hugging Face config.json of an OlmoForCausalLM or Olmo2ForCausalLM, to and from our
// configuration.

#include <string>

#include "config/config.h"
#include "convert/float_type.h"

namespace coat {

/// The architecture that the file `path` describes; keys that do not change what the model computes are passed over.
///
/// vocab_size there counts the rows of the embedding, so that it is both our vocab_size and our embedding_size.
/// A key that is absent has transformers' default. Throws IoError if the file cannot be read or is no JSON object, and
/// ConfigError with key, what was found and what is accepted for another architecture and for anything that our
/// model does not have: biases, another activation, scaled rotary positions, dropout, quantization.
ModelConfig ReadHfConfig(const std::string& path);

/// Where the keys of that architecture stand in the file `path`, by the names that they have there, for messages about
/// them.
Sources HfSources(const std::string& path);

/// config.json for `config` with weights of `type`. `source` names the configuration in messages. `tokens` is an object
/// of JSON with what stands there instead of the configuration's tokens (HfSettings). Throws ConfigError
/// for a model that is neither: scale_logits; of OLMo 1 layer_norm_eps other than 1e-5; of OLMo 2 no norm of
/// queries and keys.
std::string FormatHfConfig(const ModelConfig& config, FloatType type, const std::string& source,
                           const std::string& tokens = "{}");

/// generation_config.json.
std::string FormatHfGenerationConfig(const ModelConfig& config, const std::string& tokens = "{}");

}  // namespace coat
