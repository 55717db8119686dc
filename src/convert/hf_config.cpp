#include "convert/hf_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "convert/json_object.h"

namespace coat {

namespace {

using nlohmann::json;

struct Architecture {
  std::string_view name;
  std::string_view model_type;
};
constexpr Architecture kOlmo1 = {"OlmoForCausalLM", "olmo"};
constexpr Architecture kOlmo2 = {"Olmo2ForCausalLM", "olmo2"};
constexpr double kOlmo1NormEps = 1e-5;  // OlmoLayerNorm has no other
constexpr double kRopeTheta = 10000.0;
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

/// The object of a config.json, or one inside it.
class HfObject {
 public:
  HfObject(std::string place, json object) : place_(std::move(place)), object_(std::move(object)) {}

  [[noreturn]] void Fail(std::string_view key, std::string_view accepted) const {
    const json* const value = Find(key);
    const std::string found = value != nullptr ? Text(*value) : object_.contains(key) ? "null" : "nothing";
    throw ConfigError(fmt::format("{}: {}: found {}; accepted: {}", place_, key, found, accepted));
  }

  /// Nothing for a key that is absent or null.
  const json* Find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::int64_t Integer(std::string_view key, std::optional<std::int64_t> otherwise, std::int64_t least,
                       std::int64_t most = kMost) const {
    const std::string accepted = fmt::format("an integer from {} to {}", least, most);
    const json* const value = Find(key);
    std::int64_t number = 0;
    if (value != nullptr) {
      if (!value->is_number_integer()) Fail(key, accepted);
      if (value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(kMost)) {
        Fail(key, accepted);
      }
      number = value->get<std::int64_t>();
    } else {
      if (!otherwise) Fail(key, accepted);
      number = *otherwise;
    }
    if (number < least || number > most) Fail(key, accepted);
    return number;
  }

  double Number(std::string_view key, double otherwise) const {
    const json* const value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) Fail(key, "a number");
    return value->get<double>();
  }

  bool Bool(std::string_view key, bool otherwise) const {
    const json* const value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) Fail(key, "true or false");
    return value->get<bool>();
  }

  /// Refuses any value but this one; absent and null are fine.
  void RequireOnly(std::string_view key, const json& only) const {
    const json* const value = Find(key);
    if (value != nullptr && *value != only) Fail(key, Text(only));
  }

  const std::string& place() const { return place_; }

  std::optional<HfObject> Inside(std::string_view key) const {
    const json* const value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) Fail(key, "an object");
    return HfObject(fmt::format("{}: {}", place_, key), *value);
  }

 private:
  static std::string Text(const json& value) {
    const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
    constexpr std::size_t kMostBytes = 120;
    return text.size() > kMostBytes ? text.substr(0, kMostBytes) + "..." : text;
  }

  std::string place_;
  json object_;
};

/// Which of the two models the file describes. Throws ConfigError for any other.
Architecture ArchitectureOf(const HfObject& object) {
  const std::string accepted = fmt::format("[\"{}\"] or [\"{}\"]", kOlmo1.name, kOlmo2.name);
  const json* const architectures = object.Find("architectures");
  if (architectures == nullptr) object.Fail("architectures", accepted);
  for (const Architecture& architecture : {kOlmo1, kOlmo2}) {
    if (*architectures != json::array({architecture.name})) continue;
    object.RequireOnly("model_type", architecture.model_type);
    return architecture;
  }
  object.Fail("architectures", accepted);
}

/// Refuses what neither of our models has.
void CheckPlain(const HfObject& object) {
  object.RequireOnly("attention_bias", false);
  object.RequireOnly("hidden_act", "silu");
  object.RequireOnly("attention_dropout", 0.0);
  if (object.Find("quantization_config") != nullptr) object.Fail("quantization_config", "null: plain weights");
}

/// The token that ends a document, or the only one of a list.
std::int64_t EndOfText(const HfObject& object, std::int64_t vocabulary) {
  const json* const value = object.Find("eos_token_id");
  if (value == nullptr || !value->is_array()) return object.Integer("eos_token_id", 50279, 0, vocabulary - 1);
  if (value->size() != 1) object.Fail("eos_token_id", "one token");
  return HfObject(object.place(), {{"eos_token_id", value->front()}})
      .Integer("eos_token_id", std::nullopt, 0, vocabulary - 1);
}

/// The base of the rotary frequencies: in rope_parameters, or of its own in files of transformers 4.
std::int64_t RopeTheta(const HfObject& object) {
  double theta = object.Number("rope_theta", kRopeTheta);
  for (const char* const key : {"rope_scaling", "rope_parameters"}) {
    const std::optional<HfObject> rope = object.Inside(key);
    if (!rope) continue;
    rope->RequireOnly("type", "default");
    rope->RequireOnly("rope_type", "default");
    theta = rope->Number("rope_theta", theta);
  }
  if (!(theta >= 1.0 && theta <= static_cast<double>(kMost)) || theta != std::floor(theta)) {
    object.Fail(object.Find("rope_parameters") != nullptr ? "rope_parameters" : "rope_theta",
                fmt::format("a rope_theta that is a whole number from 1 to {}", kMost));
  }
  return static_cast<std::int64_t>(theta);
}

void ReadHeads(const HfObject& object, ModelConfig& model) {
  model.n_heads = object.Integer("num_attention_heads", std::nullopt, 1);
  if (model.d_model % model.n_heads != 0 || model.HeadSize() % 2 != 0) {
    object.Fail("num_attention_heads",
                fmt::format("a divisor of hidden_size, {}, that leaves heads of an even size", model.d_model));
  }
  const std::int64_t kv_heads = object.Integer("num_key_value_heads", model.n_heads, 1);
  if (model.n_heads % kv_heads != 0) {
    object.Fail("num_key_value_heads", fmt::format("a divisor of num_attention_heads, {}", model.n_heads));
  }
  if (kv_heads != model.n_heads) model.n_kv_heads = kv_heads;
  object.RequireOnly("head_dim", model.HeadSize());
}

void ReadNorms(const HfObject& object, const Architecture& architecture, ModelConfig& model) {
  const bool olmo2 = architecture.name == kOlmo2.name;
  model.norm_after = olmo2;
  model.attention_layer_norm = olmo2;
  model.layer_norm_with_affine = olmo2;
  model.layer_norm_type = olmo2 ? LayerNormType::kRms : LayerNormType::kDefault;
  model.layer_norm_eps = olmo2 ? object.Number("rms_norm_eps", 1e-5) : kOlmo1NormEps;
  if (!(model.layer_norm_eps > 0.0)) object.Fail("rms_norm_eps", "a number above 0");
  if (object.Find("clip_qkv") == nullptr) return;
  if (olmo2) object.Fail("clip_qkv", fmt::format("null, as {} does not clip", kOlmo2.name));
  model.clip_qkv = object.Number("clip_qkv", 0.0);
  if (!(*model.clip_qkv > 0.0)) object.Fail("clip_qkv", "null or a number above 0");
}

/// Which of the two models `config` is. Throws ConfigError for one that neither can express.
Architecture ArchitectureFor(const ModelConfig& config, const std::string& source) {
  const auto require = [&](bool holds, std::string_view key, const auto& found, const std::string& accepted) {
    if (!holds) throw ConfigError(fmt::format("{}: model.{}: found {}; accepted: {}", source, key, found, accepted));
  };
  require(!config.scale_logits, "scale_logits", true, "false, as transformers does not scale logits");
  if (config.norm_after) {
    require(config.attention_layer_norm, "attention_layer_norm", false,
            fmt::format("true, as {} norms queries and keys", kOlmo2.name));
    return kOlmo2;
  }
  require(config.layer_norm_eps == kOlmo1NormEps, "layer_norm_eps", config.layer_norm_eps,
          fmt::format("{}, which is the only one that {} has", kOlmo1NormEps, kOlmo1.name));
  return kOlmo1;
}

}  // namespace

ModelConfig ReadHfConfig(const std::string& path) {
  const HfObject object(path, ReadJsonObject(path));
  const Architecture architecture = ArchitectureOf(object);
  CheckPlain(object);
  ModelConfig model;
  model.d_model = object.Integer("hidden_size", std::nullopt, 1);
  ReadHeads(object, model);
  model.n_layers = object.Integer("num_hidden_layers", std::nullopt, 1);
  model.mlp_hidden_size = 2 * object.Integer("intermediate_size", std::nullopt, 1, kMost / 2);
  model.max_sequence_length = object.Integer("max_position_embeddings", 2048, 1);
  model.vocab_size = object.Integer("vocab_size", std::nullopt, 1);
  model.embedding_size = model.vocab_size;
  model.eos_token_id = EndOfText(object, model.vocab_size);
  model.pad_token_id = object.Integer("pad_token_id", 1, 0, model.vocab_size - 1);
  model.weight_tying = object.Bool("tie_word_embeddings", false);
  ReadNorms(object, architecture, model);
  model.rope_theta = RopeTheta(object);
  model.init_std = object.Number("initializer_range", 0.02);
  if (!(model.init_std > 0.0)) object.Fail("initializer_range", "a number above 0");
  model.rope = true;
  model.include_bias = false;
  model.attention_dropout = 0.0;
  model.residual_dropout = 0.0;
  model.embedding_dropout = 0.0;
  return model;
}

Sources HfSources(const std::string& path) {
  constexpr std::array<std::pair<const char*, const char*>, 13> kKeys = {{
      {"model.d_model", "hidden_size"},
      {"model.n_heads", "num_attention_heads"},
      {"model.n_kv_heads", "num_key_value_heads"},
      {"model.n_layers", "num_hidden_layers"},
      {"model.mlp_hidden_size", "intermediate_size"},
      {"model.max_sequence_length", "max_position_embeddings"},
      {"model.vocab_size", "vocab_size"},
      {"model.eos_token_id", "eos_token_id"},
      {"model.pad_token_id", "pad_token_id"},
      {"model.clip_qkv", "clip_qkv"},
      {"model.layer_norm_eps", "rms_norm_eps"},
      {"model.rope_theta", "rope_theta"},
      {"model.init_std", "initializer_range"},
  }};
  Sources sources;
  for (const auto& [ours, theirs] : kKeys) sources.Set(ours, {.file = path, .key = theirs});
  return sources;
}

std::string FormatHfConfig(const ModelConfig& config, FloatType type, const std::string& source,
                           const std::string& tokens) {
  const Architecture architecture = ArchitectureFor(config, source);
  json object = {
      {"architectures", json::array({architecture.name})},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"bos_token_id", nullptr},
      {"dtype", TorchName(type)},
      {"eos_token_id", config.eos_token_id},
      {"hidden_act", "silu"},
      {"hidden_size", config.d_model},
      {"initializer_range", config.init_std},
      {"intermediate_size", config.HiddenWidth()},
      {"max_position_embeddings", config.max_sequence_length},
      {"model_type", architecture.model_type},
      {"num_attention_heads", config.n_heads},
      {"num_hidden_layers", config.n_layers},
      {"num_key_value_heads", config.KvHeads()},
      {"pad_token_id", config.pad_token_id},
      {"rope_parameters", {{"rope_theta", static_cast<double>(config.rope_theta)}, {"rope_type", "default"}}},
      {"rope_theta", static_cast<double>(config.rope_theta)},  // as transformers 4 reads it
      {"tie_word_embeddings", config.weight_tying},
      {"torch_dtype", TorchName(type)},  // as transformers 4 reads it
      {"use_cache", true},
      {"vocab_size", config.EmbeddingRows()}};
  if (architecture.name == kOlmo2.name) {
    object["rms_norm_eps"] = config.layer_norm_eps;
  } else {
    object["clip_qkv"] = config.clip_qkv ? json(*config.clip_qkv) : json(nullptr);
  }
  object.update(json::parse(tokens));
  return object.dump(2) + "\n";
}

std::string FormatHfGenerationConfig(const ModelConfig& config, const std::string& tokens) {
  json object = {
      {"_from_model_config", true}, {"eos_token_id", config.eos_token_id}, {"pad_token_id", config.pad_token_id}};
  const json given = json::parse(tokens);
  for (const auto& [key, token] : given.items()) {
    if (token.is_null()) {
      object.erase(key);
    } else {
      object[key] = token;
    }
  }
  return object.dump(2) + "\n";
}

}  // namespace coat
