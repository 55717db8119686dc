// Models converted to Hugging Face directories and back: names, bytes, types, logits.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checksum.h"
#include "config/load.h"
#include "numerics/bfloat16.h"
#include "tests/convert/model_folders.h"
#include "tests/support/error_of.h"
#include "tests/support/python.h"
#include "tests/support/rounding.h"
#include "tests/support/whole_text.h"

namespace coat {
namespace {

using nlohmann::json;

class Convert : public ModelFolders {
 protected:
  json Json(std::string_view name) const { return json::parse(folder_.Read(name)); }
};

std::uint32_t Crc32Of(const std::string& text) {
  return Crc32(std::as_bytes(std::span(text)));
}

// A checkpoint has one token that ends a text and one that fills, and no settings of sampling.
TEST_F(Convert, KeepsBetweenDirectoriesWhatACheckpointHasNoPlaceFor) {
  ExportToHf(Checkpoint(TinyOlmo(), GoldenWeights()), File("hf"), {});
  EXPECT_TRUE(OpenHf(File("hf")).hf->only_there.empty());
  json config = Json("hf/config.json");
  config["bos_token_id"] = 7;
  config["eos_token_id"] = {499};
  config["pad_token_id"] = nullptr;
  folder_.Write("hf/config.json", config.dump());
  const std::string generation =
      R"({"eos_token_id": [499, 3], "pad_token_id": 1, "temperature": 0.6, "do_sample": true, "max_length": null})";
  folder_.Write("hf/generation_config.json", generation);

  const Model model = OpenHf(File("hf"));
  WriteHf(model, File("again"), {});
  EXPECT_EQ(Json("again/config.json"), config);
  EXPECT_EQ(folder_.Read("again/generation_config.json"), generation);
  EXPECT_EQ(model.config.model.pad_token_id, 1);
  EXPECT_EQ(model.hf->only_there,
            (std::vector<std::string>{File("hf") + "/config.json: bos_token_id, pad_token_id null (1 instead)",
                                      File("hf") + "/generation_config.json: do_sample, eos_token_id, temperature"}));

  std::filesystem::remove(File("hf/generation_config.json"));
  WriteHf(OpenHf(File("hf")), File("again"), {.if_exists = IfExists::kReplace});
  EXPECT_EQ(Json("again/generation_config.json"),
            (json{{"_from_model_config", true}, {"bos_token_id", 7}, {"eos_token_id", {499}}}));
  folder_.Write("hf/generation_config.json", "[]");
  ExpectParts(ErrorOf([&] { OpenHf(File("hf")); }), {"generation_config.json: is array; expected a JSON object"});
}

TEST_F(Convert, ExportHasTheBytesThatTransformersWrites) {
  const ConversionResult result = ExportToHf(Checkpoint(TinyOlmo(), GoldenWeights()), File("hf"), {});
  EXPECT_EQ(result.tensors, 15);
  EXPECT_EQ(result.parameters, 589824);
  EXPECT_EQ(result.files, 1);
  EXPECT_EQ(NamesIn(File("hf")), (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"}));
  // The file that save_pretrained of transformers makes of the same weights.
  const std::string model = folder_.Read("hf/model.safetensors");
  EXPECT_EQ(model.size(), 2360912u);
  EXPECT_EQ(Crc32Of(model), 0x64beef4fu);
  const json expected = {{"architectures", {"OlmoForCausalLM"}},
                         {"attention_bias", false},
                         {"attention_dropout", 0.0},
                         {"bos_token_id", nullptr},
                         {"clip_qkv", nullptr},
                         {"dtype", "float32"},
                         {"eos_token_id", 499},
                         {"hidden_act", "silu"},
                         {"hidden_size", 128},
                         {"initializer_range", 0.02},
                         {"intermediate_size", 512},
                         {"max_position_embeddings", 256},
                         {"model_type", "olmo"},
                         {"num_attention_heads", 2},
                         {"num_hidden_layers", 2},
                         {"num_key_value_heads", 2},
                         {"pad_token_id", 1},
                         {"rope_parameters", {{"rope_theta", 10000.0}, {"rope_type", "default"}}},
                         {"rope_theta", 10000.0},
                         {"tie_word_embeddings", true},
                         {"torch_dtype", "float32"},
                         {"use_cache", true},
                         {"vocab_size", 512}};
  EXPECT_EQ(Json("hf/config.json"), expected);
  EXPECT_EQ(Json("hf/generation_config.json")["eos_token_id"], 499);
}

TEST_F(Convert, ImportedModelHasOlmosLogits) {
  constexpr std::int64_t kLength = 128;
  ExportToHf(Checkpoint(TinyOlmo(), GoldenWeights()), File("hf"), {});
  ImportFromHf(File("hf"), File("model"), IfExists::kRefuse);
  const CheckpointReader reader(File("model"));
  const TrainConfig config = ParseTrainConfig(reader.ReadFile("config.yaml"), "config.yaml");
  const SafetensorsReader weights = reader.OpenSafetensors("model.safetensors");

  Context ctx(DeviceKind::kCpu, 2);
  std::vector<Arena> arenas;
  for (const char* name : {"masters", "weights"}) {
    arenas.push_back(Arena::Bound(name, Context(DeviceKind::kCpu, 1), 16 << 20));
  }
  Olmo model(config.model, PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone));
  model.LayOutForInference(ctx, arenas[0], arenas[1]);
  for (const Parameter& parameter : model.parameters()) {
    ctx.Upload(weights.Bytes(parameter.name).data(), parameter.value);
  }
  model.RefreshWeights(ctx);
  const SafetensorsReader golden(GoldenPath());
  std::vector<std::int32_t> text(kLength);  // sequence 0 of four
  std::memcpy(text.data(), golden.Bytes("tokens", "I32", {4, kLength}).data(), text.size() * sizeof(std::int32_t));
  const std::vector<float> got = LogitsBehind(std::vector<std::int64_t>{0, 32, 64, 96}, text, model, ctx);
  std::vector<float> expected(got.size());
  const auto bytes = golden.Bytes("logits", "F32", {4, 512});
  ASSERT_EQ(bytes.size(), expected.size() * sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  double largest = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(got[i]) - expected[i]));
    squares += static_cast<double>(expected[i]) * expected[i];
  }
  const double size = std::sqrt(squares / static_cast<double>(expected.size()));
  EXPECT_LT(largest, kStandardDeviations * kOfTwo * ForwardRounding(config.model, kLength) * size);
}

TEST_F(Convert, RoundTripsByteForByteInOneFileOrMany) {
  for (const ModelConfig& config : {TinyOlmo(), OtherOlmo(), OtherOlmo2()}) {
    const std::string checkpoint = Checkpoint(config, RandomWeights(config));
    const std::string expected = folder_.Read(checkpoint + "/model.safetensors");
    for (const std::int64_t shard_bytes : {1, 10000, 600000, 1 << 30}) {
      ExportToHf(checkpoint, File("hf"), {.shard_bytes = shard_bytes, .if_exists = IfExists::kReplace});
      ImportFromHf(File("hf"), File("model"), IfExists::kReplace);
      EXPECT_EQ(folder_.Read("model/model.safetensors"), expected) << shard_bytes;
    }
  }
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "hf", "model"}));
}

TEST_F(Convert, ShardsHoldNoMoreThanAsked) {
  const ConversionResult result =
      ExportToHf(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo())), File("hf"), {.shard_bytes = 20000});
  const json index = Json("hf/model.safetensors.index.json");
  EXPECT_EQ(index["weight_map"].size(), static_cast<std::size_t>(result.tensors));
  EXPECT_EQ(index["metadata"]["total_size"], 4 * result.parameters);
  EXPECT_EQ(NamesIn(File("hf")).size(), static_cast<std::size_t>(result.files) + 3);
  for (const auto& [name, file] : index["weight_map"].items()) {
    const SafetensorsReader shard(File("hf/" + file.get<std::string>()));
    EXPECT_TRUE(shard.Contains(name));
    EXPECT_LE(shard.tensors().back().end, 20000u);
  }
}

TEST_F(Convert, TellsHowFarItIs) {
  const Model model = OpenCheckpoint(Checkpoint(TinyOlmo(), GoldenWeights()));
  using Write = ConversionResult (*)(const Model&, const std::string&, const WriteOptions&);
  for (const Write write : {WriteHf, WriteCheckpoint, WriteOlmo}) {
    std::vector<std::int64_t> done;
    write(model, File("out"), {.if_exists = IfExists::kReplace, .progress = [&](std::int64_t now, std::int64_t total) {
                                 EXPECT_EQ(total, 589824);
                                 done.push_back(now);
                               }});
    EXPECT_TRUE(std::ranges::is_sorted(done));
    EXPECT_GE(done.size(), model.tensors.size());
    EXPECT_EQ(done.back(), 589824);
  }
}

TEST_F(Convert, KeepsTheArchitecture) {
  for (const ModelConfig& architecture : {OtherOlmo(), OtherOlmo2()}) {
    ExportToHf(Checkpoint(architecture, RandomWeights(architecture)), File("hf"), {.if_exists = IfExists::kReplace});
    ImportFromHf(File("hf"), File("model"), IfExists::kReplace);
    const TrainConfig config = LoadTrainConfig(File("model/config.yaml"));
    TrainConfig expected = config;
    expected.model = architecture;
    expected.model.vocab_size = 64;  // the rows of the embedding
    expected.model.mlp_ratio = config.model.mlp_ratio;
    EXPECT_EQ(Dump(config), Dump(expected));
  }
}

TEST_F(Convert, ReadsFilesOfTransformers4) {
  ExportToHf(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo())), File("hf"), {});
  json config = Json("hf/config.json");
  config.erase("rope_parameters");
  config["rope_scaling"] = nullptr;
  folder_.Write("hf/config.json", config.dump());
  NamedTensors tensors = ReadTensors(File("hf/model.safetensors"));
  tensors.Add({.name = "model.layers.0.self_attn.rotary_emb.inv_freq", .dtype = "F32", .shape = {1}}, "abcd");
  Rewrite(File("hf/model.safetensors"), tensors);
  ImportFromHf(File("hf"), File("model"), IfExists::kRefuse);
  EXPECT_EQ(LoadTrainConfig(File("model/config.yaml")).model.rope_theta, 500000);
  EXPECT_EQ(folder_.Read("model/model.safetensors"), folder_.Read("run/step7/model.safetensors"));
}

TEST_F(Convert, PassesOverTheHeadOfATiedModel) {
  ExportToHf(Checkpoint(TinyOlmo(), GoldenWeights()), File("hf"), {});
  NamedTensors tensors = ReadTensors(File("hf/model.safetensors"));
  tensors.Add({.name = "lm_head.weight", .dtype = "F32", .shape = {512, 128}},
              std::string(tensors.bytes["model.embed_tokens.weight"]));
  Rewrite(File("hf/model.safetensors"), tensors);
  ImportFromHf(File("hf"), File("model"), IfExists::kRefuse);
  EXPECT_EQ(folder_.Read("model/model.safetensors"), folder_.Read("run/step7/model.safetensors"));
}

TEST_F(Convert, RoundsToShorterTypesAndReadsThemExactly) {
  const std::string checkpoint = Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo()));
  for (const FloatType type : {FloatType::kBFloat16, FloatType::kFloat16}) {
    ExportToHf(checkpoint, File("hf"), {.type = type, .if_exists = IfExists::kReplace});
    EXPECT_EQ(Json("hf/config.json")["torch_dtype"], TorchName(type));
    const NamedTensors there = ReadTensors(File("hf/model.safetensors"));
    for (const TensorInfo& info : there.infos) EXPECT_EQ(info.dtype, SafetensorsName(type));
    ImportFromHf(File("hf"), File("model"), IfExists::kReplace);
    ExportToHf(File("model"), File("again"), {.type = type, .if_exists = IfExists::kReplace});
    EXPECT_EQ(folder_.Read("again/model.safetensors"), folder_.Read("hf/model.safetensors"));

    const NamedTensors before = ReadTensors(checkpoint + "/model.safetensors");
    const NamedTensors after = ReadTensors(File("model/model.safetensors"));
    for (const auto& [name, bytes] : before.bytes) {
      std::vector<float> x(bytes.size() / sizeof(float));
      std::vector<float> y(x.size());
      std::memcpy(x.data(), bytes.data(), bytes.size());
      std::memcpy(y.data(), after.bytes.at(name).data(), bytes.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (type == FloatType::kBFloat16) {
          ASSERT_EQ(y[i], ToFloat(ToBFloat16(x[i]))) << name;
        } else {
          ASSERT_NEAR(y[i], x[i], std::max(std::abs(x[i]) * 0x1p-11f, 0x1p-25f)) << name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace coat
