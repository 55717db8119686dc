#pragma once
// What a Hugging Face directory says besides the model: which tokens mean something, and how to choose the next one.

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace coat {

struct HfSettings {
  std::string tokens = "{}";  // an object: bos_token_id, eos_token_id and pad_token_id where config.json has them
  std::optional<std::string> generation;  // the text of generation_config.json
  /// What of it our configuration does not hold: "olmo-hf/generation_config.json: temperature, top_p".
  std::vector<std::string> only_there;
};

/// Those of `folder`, whose config.json `model` was read from. Throws IoError for files that are no JSON objects.
HfSettings ReadHfSettings(const std::string& folder, const ModelConfig& model);

}  // namespace coat
