// What a conversion refuses, and that it then leaves nothing behind.

#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/convert/model_folders.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

using nlohmann::json;

/// A Hugging Face directory of a small model, to be spoiled.
class ConvertErrors : public ModelFolders {
 protected:
  ConvertErrors() : checkpoint_(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo()))) {
    ExportToHf(checkpoint_, File("hf"), {});
    config_ = json::parse(folder_.Read("hf/config.json"));
    tensors_ = ReadTensors(File("hf/model.safetensors"));
  }

  /// Expects an import to fail with all parts in the message, and to leave nothing.
  template <class Expected>
  void ExpectRefused(std::vector<std::string_view> parts) {
    try {
      ImportFromHf(File("hf"), File("model"), IfExists::kRefuse);
      ADD_FAILURE() << "not refused: " << parts.front();
    } catch (const Expected& error) {
      for (const std::string_view part : parts) {
        EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what() << "\n" << part;
      }
    }
    EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf"}));
  }

  void ExpectConfigRefused(const char* key, const json& value, std::string_view accepted) {
    json changed = config_;
    changed[key] = value;
    folder_.Write("hf/config.json", changed.dump());
    ExpectRefused<ConfigError>({"hf/config.json: ", key, accepted});
    folder_.Write("hf/config.json", config_.dump());
  }

  void ExpectTensorsRefused(const NamedTensors& tensors, std::vector<std::string_view> parts) {
    Rewrite(File("hf/model.safetensors"), tensors);
    parts.push_back("hf/model.safetensors: ");
    ExpectRefused<IoError>(parts);
    Rewrite(File("hf/model.safetensors"), tensors_);
  }

  std::string checkpoint_;
  json config_;
  NamedTensors tensors_;
};

TEST_F(ConvertErrors, RefusesOtherArchitectures) {
  const std::string_view accepted = "accepted: [\"OlmoForCausalLM\"] or [\"Olmo2ForCausalLM\"]";
  ExpectConfigRefused("architectures", {"LlamaForCausalLM"}, accepted);
  ExpectConfigRefused("architectures", {"OlmoForCausalLM", "Olmo2ForCausalLM"}, accepted);
  ExpectConfigRefused("architectures", nullptr, "found null; accepted: [\"OlmoForCausalLM\"]");
  ExpectConfigRefused("model_type", "hf_olmo", "accepted: \"olmo\"");
  ExpectConfigRefused("attention_bias", true, "accepted: false");
  ExpectConfigRefused("hidden_act", "gelu", "found \"gelu\"; accepted: \"silu\"");
  ExpectConfigRefused("attention_dropout", 0.1, "found 0.1; accepted: 0.0");
  ExpectConfigRefused("rope_scaling", {{"type", "linear"}}, "type: found \"linear\"; accepted: \"default\"");
  ExpectConfigRefused("rope_parameters", {{"rope_type", "yarn"}}, "found \"yarn\"");
  ExpectConfigRefused("rope_parameters", {{"rope_theta", 10000.5}}, "a whole number");
  ExpectConfigRefused("head_dim", 16, "found 16; accepted: 8");
  ExpectConfigRefused("quantization_config", json::object(), "plain weights");
}

TEST_F(ConvertErrors, RefusesValuesThatMakeNoSense) {
  ExpectConfigRefused("hidden_size", nullptr, "found null; accepted: an integer from 1");
  ExpectConfigRefused("hidden_size", "32", "found \"32\"; accepted: an integer");
  ExpectConfigRefused("hidden_size", 1ull << 63, "accepted: an integer");
  ExpectConfigRefused("num_attention_heads", 5, "a divisor of hidden_size, 32");
  ExpectConfigRefused("num_key_value_heads", 3, "a divisor of num_attention_heads, 4");
  ExpectConfigRefused("clip_qkv", -1.0, "a number above 0");
  ExpectConfigRefused("eos_token_id", 64, "found 64; accepted: an integer from 0 to 63");
  ExpectConfigRefused("eos_token_id", {3, 4}, "found [3,4]; accepted: one token");
  ExpectConfigRefused("eos_token_id", json::array({64}), "found 64; accepted: an integer from 0 to 63");
  ExpectConfigRefused("eos_token_id", nullptr, "found null; accepted: an integer from 0 to 63");
  ExpectConfigRefused("pad_token_id", -1, "found -1");
  ExpectConfigRefused("tie_word_embeddings", "no", "true or false");
  for (const char* text : {"", "{", "[]", "null"}) {
    folder_.Write("hf/config.json", text);
    ExpectRefused<IoError>({"hf/config.json: "});
  }
  folder_.Write("hf/config.json", config_.dump() + std::string(1, '\0'));
  ExpectRefused<IoError>({"hf/config.json: is not JSON from column ", " on; expected a JSON object"});
  folder_.Write("hf/config.json", "{\n\"architectures\": OlmoForCausalLM}");
  ExpectRefused<IoError>({"hf/config.json: is not JSON from line 2, column 18 on; expected a JSON object"});
  // Deep enough that walking through it would need more stack than there is.
  folder_.Write("hf/config.json", "{\"architectures\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  ExpectRefused<IoError>({"hf/config.json: has JSON nested more than 1000 levels deep"});
  config_.erase("eos_token_id");
  folder_.Write("hf/config.json", config_.dump());
  ExpectRefused<ConfigError>({"eos_token_id: found nothing; accepted: an integer from 0 to 63"});
}

TEST_F(ConvertErrors, RefusesModelsThatNoCommandTakesByTheKeysOfTheFile) {
  ExpectConfigRefused("max_position_embeddings", 1, "max_position_embeddings: found 1; accepted: 2 to 2147483647");
  ExpectConfigRefused("num_hidden_layers", 65536, "num_hidden_layers: found 65536; accepted: 1 to 65535");
  ExpectConfigRefused("clip_qkv", 1e300, "clip_qkv: found 1.0e+300; accepted: 3.4e38 or less");
  ExpectConfigRefused("initializer_range", 1e-60, "initializer_range: found 1.0e-60; accepted: 1.2e-38 or more");
  config_.update({{"hidden_size", 6}, {"num_attention_heads", 1}, {"num_key_value_heads", 1}});
  ExpectConfigRefused("clip_qkv", 8.0, "config.json: clip_qkv: a width of queries, keys and values of 18; accepted");
  config_["hidden_size"] = 4098;
  ExpectConfigRefused("num_attention_heads", 1,
                      "config.json: num_attention_heads: 1 heads of 4098 elements; accepted: a head size up to 4096");
}

TEST_F(ConvertErrors, NamesTheRunAsTheFolderIfThatIsText) {
  const auto name = [&](const std::string& folder) {
    std::filesystem::rename(File("hf"), File(folder));
    ImportFromHf(File(folder), File("model"), IfExists::kReplace);
    std::filesystem::rename(File(folder), File("hf"));
    return OpenCheckpoint(File("model")).config.run_name;
  };
  EXPECT_EQ(name("${x} \u20ac"), "${x} \u20ac");
  EXPECT_EQ(name("n\xff"), "hf");
}

TEST_F(ConvertErrors, RefusesTensorsThatAreMissingLeftOverOrOfAnotherShape) {
  NamedTensors tensors = tensors_;
  std::erase_if(tensors.infos, [](const TensorInfo& info) { return info.name.ends_with("10.mlp.up_proj.weight"); });
  ExpectTensorsRefused(tensors, {"no tensor \"model.layers.10.mlp.up_proj.weight\"; expected [24, 32]"});

  tensors = tensors_;
  tensors.Add({.name = "model.norm.weight", .dtype = "F32", .shape = {1}}, "abcd");
  ExpectTensorsRefused(tensors, {"\"model.norm.weight\"", "OLMo 1's norms no weights"});
  tensors = tensors_;
  tensors.Add({.name = "model.layers.0.self_attn.q_proj.bias", .dtype = "F32", .shape = {1}}, "abcd");
  ExpectTensorsRefused(tensors, {"q_proj.bias", "have no biases"});

  tensors = tensors_;
  for (TensorInfo& info : tensors.infos) {
    if (info.name == "model.layers.3.self_attn.k_proj.weight") info.shape = {32, 16};
  }
  ExpectTensorsRefused(tensors, {"k_proj.weight\" is [32, 16]; expected [16, 32], as ", "config.json"});
  const json layers = config_["num_hidden_layers"];
  config_["num_hidden_layers"] = 65535;
  folder_.Write("hf/config.json", config_.dump());
  ExpectRefused<IoError>({"num_hidden_layers is 65535; the files have "});
  config_["num_hidden_layers"] = layers;
  config_["vocab_size"] = 60;  // of rows that are 64
  folder_.Write("hf/config.json", config_.dump());
  ExpectRefused<IoError>({"\"model.embed_tokens.weight\" is [64, 32]; expected [60, 32]"});
}

TEST_F(ConvertErrors, RefusesOtherTypes) {
  NamedTensors tensors = tensors_;
  for (TensorInfo& info : tensors.infos) {
    if (info.name == "lm_head.weight") info.dtype = "I32";
  }
  ExpectTensorsRefused(tensors, {"\"lm_head.weight\" is I32; accepted: F32, BF16, F16"});
}

TEST_F(ConvertErrors, RefusesAHeadThatContradictsTheConfiguration) {
  config_["tie_word_embeddings"] = true;
  folder_.Write("hf/config.json", config_.dump());
  ExpectRefused<IoError>({"\"lm_head.weight\" differs from \"model.embed_tokens.weight\"", "tie_word_embeddings"});

  config_["tie_word_embeddings"] = false;
  folder_.Write("hf/config.json", config_.dump());
  std::erase_if(tensors_.infos, [](const TensorInfo& info) { return info.name == "lm_head.weight"; });
  Rewrite(File("hf/model.safetensors"), tensors_);
  ExpectRefused<IoError>({"no tensor \"lm_head.weight\"", "tie_word_embeddings: true"});
}

TEST_F(ConvertErrors, RefusesDamagedShards) {
  ExportToHf(checkpoint_, File("hf"), {.shard_bytes = 100000, .if_exists = IfExists::kReplace});
  const std::string index = "hf/model.safetensors.index.json";
  const json good = json::parse(folder_.Read(index));
  const std::string first = good["weight_map"]["model.embed_tokens.weight"];
  const std::string last = good["weight_map"]["lm_head.weight"];

  json wrong = good;
  wrong["weight_map"]["lm_head.weight"] = first;
  folder_.Write(index, wrong.dump());
  ExpectRefused<IoError>({first, "no tensor \"lm_head.weight\""});
  wrong = good;
  wrong["weight_map"].erase("lm_head.weight");
  folder_.Write(index, wrong.dump());
  ExpectRefused<IoError>({last, "\"lm_head.weight\" is not in the weight_map"});
  wrong["weight_map"]["lm_head.weight"] = "../secret";
  folder_.Write(index, wrong.dump());
  ExpectRefused<IoError>({index, "lm_head.weight", "a file in the same folder"});
  for (const char* text : {"", "[]", "{}", R"({"weight_map": 3})"}) {
    folder_.Write(index, text);
    ExpectRefused<IoError>({index, "expected a JSON object whose weight_map"});
  }
  folder_.Write(index, good.dump() + std::string(1, '\0') + "more");
  ExpectRefused<IoError>({index, "is not JSON from column ", "; expected a JSON object whose weight_map"});
  folder_.Write(index, good.dump());

  const std::string bytes = folder_.Read("hf/" + last);
  folder_.Write("hf/" + last, bytes.substr(0, bytes.size() - 1));
  ExpectRefused<IoError>({last, "truncated"});
  std::filesystem::remove(File("hf/" + last));
  ExpectRefused<IoError>({last, "No such file"});
  std::filesystem::remove(File(index));
  ExpectRefused<IoError>({"no weights; accepted: model.safetensors"});
}

TEST_F(ConvertErrors, ExportRefusesWhatTheOtherSideHasNot) {
  const auto expect = [&](const ModelConfig& model, std::string_view part) {
    Checkpoint(model, RandomWeights(model));
    const std::string message = ErrorOf<ConfigError>([&] { ExportToHf(checkpoint_, File("out"), {}); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  ModelConfig model = OtherOlmo();
  model.layer_norm_eps = 1e-6;
  expect(model, "model.layer_norm_eps: found 1e-06; accepted: 1e-05");
  model = OtherOlmo();
  model.scale_logits = true;
  expect(model, "model.scale_logits: found true; accepted: false");
  model = OtherOlmo();
  model.layer_norm_with_affine = true;
  expect(model, "model.layer_norm_with_affine");
  model = OtherOlmo2();
  model.attention_layer_norm = false;
  expect(model, "model.attention_layer_norm: found false; accepted: true, as Olmo2ForCausalLM norms queries and keys");
}

TEST_F(ConvertErrors, RefusesOlmo2sNormsThatAreMissingOrOfAnotherSize) {
  std::filesystem::remove_all(File("hf"));
  ExportToHf(Checkpoint(OtherOlmo2(), RandomWeights(OtherOlmo2())), File("hf"), {});
  config_ = json::parse(folder_.Read("hf/config.json"));
  tensors_ = ReadTensors(File("hf/model.safetensors"));
  ExpectConfigRefused("rms_norm_eps", 0.0, "a number above 0");
  ExpectConfigRefused("clip_qkv", 8.0, "null, as Olmo2ForCausalLM does not clip");
  ExpectConfigRefused("model_type", "olmo", "accepted: \"olmo2\"");
  NamedTensors tensors = tensors_;
  std::erase_if(tensors.infos, [](const TensorInfo& info) { return info.name == "model.norm.weight"; });
  ExpectTensorsRefused(tensors, {"no tensor \"model.norm.weight\"; expected [32], as "});
  tensors = tensors_;
  for (TensorInfo& info : tensors.infos) {
    if (info.name == "model.layers.0.self_attn.k_norm.weight") info.shape = {4, 4};
  }
  ExpectTensorsRefused(tensors, {"k_norm.weight\" is [4, 4]; expected [16]"});
  tensors = tensors_;
  tensors.Add({.name = "model.layers.0.input_layernorm.weight", .dtype = "F32", .shape = {1}}, "abcd");
  ExpectTensorsRefused(tensors, {"input_layernorm.weight\" is no part of the model"});
}

TEST_F(ConvertErrors, ExportRefusesTensorsThatAreNotTheModels) {
  const auto expect = [&](const NamedTensors& tensors, std::string_view part) {
    Checkpoint(OtherOlmo(), tensors);
    const std::string message = ErrorOf<IoError>([&] { ExportToHf(checkpoint_, File("out"), {}); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const NamedTensors good = RandomWeights(OtherOlmo());
  NamedTensors tensors = good;
  tensors.Add({.name = "transformer.ln_f.weight", .dtype = "F32", .shape = {1}}, "abcd");
  expect(tensors, "\"transformer.ln_f.weight\" is no parameter");
  tensors = good;
  tensors.infos.pop_back();
  expect(tensors, "\"transformer.ff_out.weight\"");
  tensors = good;
  tensors.infos[0].shape = {32, 64};
  expect(tensors, "is F32 [32, 64]; expected F32 [64, 32]");
}

TEST_F(ConvertErrors, ExportRefusesToMakeValuesInfinite) {
  NamedTensors tensors = RandomWeights(OtherOlmo());
  const float large = 70000.0f;
  std::memcpy(tensors.bytes["transformer.ff_out.weight"].data(), &large, sizeof large);
  Checkpoint(OtherOlmo(), tensors);
  const std::string message =
      ErrorOf<IoError>([&] { ExportToHf(checkpoint_, File("out"), {.type = FloatType::kFloat16}); });
  EXPECT_NE(message.find("\"transformer.ff_out.weight\": 1 or more values are too large for float16"),
            std::string::npos)
      << message;
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf"}));
}

TEST_F(ConvertErrors, ReplacesModelsOnlyAndOnlyWhenTold) {
  const auto refused = [&](const std::string& to, IfExists if_exists) {
    return ErrorOf<IoError>([&] { ImportFromHf(File("hf"), to, if_exists); });
  };
  folder_.Write("full/notes.txt", "x");
  EXPECT_NE(refused(File("full"), IfExists::kReplace).find("something else than a model"), std::string::npos);
  EXPECT_NE(refused(File("full"), IfExists::kRefuse).find("something else than a model"), std::string::npos);
  folder_.Write("full/config.json", "{}");  // as other programs have
  EXPECT_NE(refused(File("full"), IfExists::kReplace).find("something else than a model"), std::string::npos);
  folder_.Write("file", "x");
  EXPECT_NE(refused(File("file"), IfExists::kReplace).find("no folder"), std::string::npos);
  ImportFromHf(File("hf"), File("model"), IfExists::kRefuse);
  EXPECT_NE(refused(File("model/"), IfExists::kRefuse).find("--overwrite"), std::string::npos);
  ImportFromHf(File("hf"), File("model/"), IfExists::kReplace);
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf", "full", "file", "model"}));
}

TEST_F(ConvertErrors, TwoToOneFolderDoNotMeet) {
  const std::string other = Checkpoint(OtherOlmo2(), RandomWeights(OtherOlmo2()));
  const auto convert = [&](IfExists if_exists, const std::function<void()>& meanwhile) {
    bool is_done = false;
    WriteCheckpoint(OpenHf(File("hf")), File("model"), {.if_exists = if_exists, .progress = [&](auto, auto) {
                                                          if (!std::exchange(is_done, true)) meanwhile();
                                                        }});
  };
  const auto write_other = [&] { WriteHf(OpenCheckpoint(other), File("model"), {}); };
  const std::string refused = ErrorOf<IoError>([&] { convert(IfExists::kRefuse, write_other); });
  EXPECT_EQ(refused, File("model") + ": exists already; nothing was overwritten");
  EXPECT_EQ(OpenHf(File("model")).config.model.norm_after, true);
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf", "model"}));

  std::filesystem::remove_all(File("model"));
  convert(IfExists::kReplace, write_other);
  EXPECT_EQ(OpenCheckpoint(File("model")).config.model.norm_after, false);
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf", "model"}));

  std::filesystem::remove_all(File("model"));
  const auto write_notes = [&] { folder_.Write("model/notes.txt", "x"); };
  ExpectParts(ErrorOf<IoError>([&] { convert(IfExists::kReplace, write_notes); }), {"something else than a model"});
  EXPECT_EQ(folder_.Read("model/notes.txt"), "x");
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf", "model"}));
}

TEST_F(ConvertErrors, NamesTheFolderThatCannotBeWrittenIn) {
  const std::string name(250, 'x');  // with the end that an unfinished folder has, too long
  EXPECT_EQ(ErrorOf<IoError>([&] { ImportFromHf(File("hf"), File(name), IfExists::kRefuse); }),
            File(name) + ": cannot be made in the folder " + folder_.path() + ": File name too long");
}

TEST_F(ConvertErrors, NamesTheCheckpointOfASaveFolder) {
  const std::string message = ErrorOf<IoError>([&] { KindOfModel(File("run")); });
  EXPECT_NE(message.find("did you mean " + File("run/latest")), std::string::npos) << message;
  EXPECT_EQ(KindOfModel(File("run/latest")), ModelKind::kCheckpoint);
  EXPECT_EQ(KindOfModel(File("hf")), ModelKind::kHuggingFace);
}

}  // namespace
}  // namespace coat
