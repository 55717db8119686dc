#include "checkpoint/hf_config.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/quoted.h"

namespace coat {

namespace {

using nlohmann::json;

constexpr std::string_view kArchitecture = "OlmoForCausalLM";
constexpr double kNormEps = 1e-5;  // OlmoLayerNorm has no other
constexpr double kRopeTheta = 10000.0;
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

/// The object of a config.json, or one inside it.
class HfObject {
 public:
  HfObject(std::string place, json object) : place_(std::move(place)), object_(std::move(object)) {}

  [[noreturn]] void Fail(std::string_view key, std::string_view accepted) const {
    const json* const value = Find(key);
    const std::string found = value == nullptr ? "nothing" : Text(*value);
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
    if (number < least || number > most) {
      throw ConfigError(fmt::format("{}: {}: found {}{}; accepted: {}", place_, key, number,
                                    value == nullptr ? ", the default" : "", accepted));
    }
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

void CheckArchitecture(const HfObject& object) {
  const std::string accepted = fmt::format("[\"{}\"]", kArchitecture);
  const json* const architectures = object.Find("architectures");
  if (architectures == nullptr) object.Fail("architectures", accepted);
  if (*architectures == json::array({"Olmo2ForCausalLM"})) {
    object.Fail("architectures", accepted + "; this build does not have OLMo 2 yet");
  }
  if (*architectures != json::array({kArchitecture})) object.Fail("architectures", accepted);
  object.RequireOnly("model_type", "olmo");
  object.RequireOnly("attention_bias", false);
  object.RequireOnly("hidden_act", "silu");
  object.RequireOnly("attention_dropout", 0.0);
  if (object.Find("quantization_config") != nullptr) object.Fail("quantization_config", "null: plain weights");
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

json ReadObject(const std::string& path) {
  const MappedFile file(path);
  try {
    json object = json::parse(file.text());
    if (object.is_object()) return object;
  } catch (const json::parse_error& error) {
    throw IoError(fmt::format("{}: no JSON: byte {}: {}", path, error.byte, Quoted(error.what())));
  }
  throw IoError(fmt::format("{}: found no JSON object; expected one", path));
}

}  // namespace

ModelConfig ReadHfConfig(const std::string& path) {
  const HfObject object(path, ReadObject(path));
  CheckArchitecture(object);
  ModelConfig model;
  model.d_model = object.Integer("hidden_size", std::nullopt, 1);
  ReadHeads(object, model);
  model.n_layers = object.Integer("num_hidden_layers", std::nullopt, 1);
  model.mlp_hidden_size = 2 * object.Integer("intermediate_size", std::nullopt, 1, kMost / 2);
  model.max_sequence_length = object.Integer("max_position_embeddings", 2048, 1);
  model.vocab_size = object.Integer("vocab_size", std::nullopt, 1);
  model.embedding_size = model.vocab_size;
  model.eos_token_id = object.Integer("eos_token_id", 50279, 0, model.vocab_size - 1);
  model.pad_token_id = object.Integer("pad_token_id", 1, 0, model.vocab_size - 1);
  model.weight_tying = object.Bool("tie_word_embeddings", false);
  if (object.Find("clip_qkv") != nullptr) {
    model.clip_qkv = object.Number("clip_qkv", 0.0);
    if (!(*model.clip_qkv > 0.0)) object.Fail("clip_qkv", "null or a number above 0");
  }
  model.rope_theta = RopeTheta(object);
  model.init_std = object.Number("initializer_range", 0.02);
  if (!(model.init_std > 0.0)) object.Fail("initializer_range", "a number above 0");
  model.rope = true;
  model.layer_norm_with_affine = false;
  model.layer_norm_eps = kNormEps;
  model.include_bias = false;
  model.attention_dropout = 0.0;
  model.residual_dropout = 0.0;
  model.embedding_dropout = 0.0;
  return model;
}

std::string FormatHfConfig(const ModelConfig& config, FloatType type, const std::string& source) {
  if (config.layer_norm_eps != kNormEps) {
    throw ConfigError(fmt::format("{}: model.layer_norm_eps: found {}; accepted: {}, which is the only one that {} has",
                                  source, config.layer_norm_eps, kNormEps, kArchitecture));
  }
  if (config.scale_logits) {
    throw ConfigError(fmt::format("{}: model.scale_logits: found true; accepted: false, as {} does not scale logits",
                                  source, kArchitecture));
  }
  json object = {
      {"architectures", json::array({kArchitecture})},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"bos_token_id", nullptr},
      {"clip_qkv", nullptr},
      {"eos_token_id", config.eos_token_id},
      {"hidden_act", "silu"},
      {"hidden_size", config.d_model},
      {"initializer_range", config.init_std},
      {"intermediate_size", config.HiddenWidth()},
      {"max_position_embeddings", config.max_sequence_length},
      {"model_type", "olmo"},
      {"num_attention_heads", config.n_heads},
      {"num_hidden_layers", config.n_layers},
      {"num_key_value_heads", config.KvHeads()},
      {"pad_token_id", config.pad_token_id},
      {"rope_parameters", {{"rope_theta", static_cast<double>(config.rope_theta)}, {"rope_type", "default"}}},
      {"rope_theta", static_cast<double>(config.rope_theta)},  // as transformers 4 reads it
      {"tie_word_embeddings", config.weight_tying},
      {"torch_dtype", TorchName(type)},
      {"use_cache", true},
      {"vocab_size", config.EmbeddingRows()}};
  if (config.clip_qkv) object["clip_qkv"] = *config.clip_qkv;
  return object.dump(2) + "\n";
}

std::string FormatHfGenerationConfig(const ModelConfig& config) {
  const json object = {
      {"_from_model_config", true}, {"eos_token_id", config.eos_token_id}, {"pad_token_id", config.pad_token_id}};
  return object.dump(2) + "\n";
}

}  // namespace coat
