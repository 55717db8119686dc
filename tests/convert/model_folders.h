#pragma once
// Folders of models for tests of conversion.

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/safetensors.h"
#include "config/dump.h"
#include "convert/convert.h"
#include "models/olmo.h"
#include "tests/support/one_rank.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_olmo.h"
#include "tests/support/whole_tensors.h"

namespace coat {

/// Named tensors and their bytes.
struct NamedTensors {
  std::vector<TensorInfo> infos;
  std::map<std::string, std::string> bytes;

  void Add(const TensorInfo& info, std::string_view values) {
    infos.push_back(info);
    bytes[info.name] = values;
  }
};

inline std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline NamedTensors ReadTensors(const std::string& path) {
  const SafetensorsReader file(path);
  NamedTensors tensors;
  for (const TensorInfo& info : file.tensors()) tensors.Add(info, TextOf(file.Bytes(info.name)));
  return tensors;
}

inline void FillTensors(const NamedTensors& tensors, SafetensorsWriter& writer) {
  for (const TensorInfo& info : writer.tensors()) {
    const std::string& bytes = tensors.bytes.at(info.name);
    writer.Write(info.name, std::as_bytes(std::span(bytes)));
  }
}

inline ConversionResult ExportToHf(const std::string& from, const std::string& to, const WriteOptions& options) {
  return WriteHf(OpenCheckpoint(from), to, options);
}

inline ConversionResult ImportFromHf(const std::string& from, const std::string& to, IfExists if_exists) {
  return WriteCheckpoint(OpenHf(from), to, {.if_exists = if_exists});
}

class ModelFolders : public testing::Test {
 protected:
  /// Smaller, with all that the other has not: few key and value heads, clipping, a head of its own.
  static ModelConfig OtherOlmo() {
    ModelConfig config = TinyOlmo();
    config.d_model = 32;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.n_layers = 11;  // of which the names do not sort by number
    config.mlp_hidden_size = 48;
    config.mlp_ratio = 4;
    config.vocab_size = 60;
    config.embedding_size = 64;
    config.eos_token_id = 59;
    config.rope_theta = 500000;
    config.clip_qkv = 8.5;
    config.weight_tying = false;
    return config;
  }

  /// An OLMo 2 of about the same size.
  static ModelConfig OtherOlmo2() {
    ModelConfig config = OtherOlmo();
    config.clip_qkv = std::nullopt;
    config.layer_norm_type = LayerNormType::kRms;
    config.layer_norm_with_affine = true;
    config.layer_norm_eps = 1e-6;
    config.attention_layer_norm = true;
    config.norm_after = true;
    return config;
  }

  static std::string GoldenPath() { return SourceDir() + "/tests/golden/olmo_tiny.safetensors"; }

  static NamedTensors GoldenWeights() {
    const SafetensorsReader golden(GoldenPath());
    NamedTensors tensors;
    for (const Parameter& parameter : OlmoParameters(TinyOlmo())) {
      tensors.Add(golden.Info(parameter.name), TextOf(golden.Bytes(parameter.name)));
    }
    return tensors;
  }
  static NamedTensors RandomWeights(const ModelConfig& config) {
    std::mt19937 generator(5);
    std::normal_distribution<float> normal;
    NamedTensors tensors;
    for (const Parameter& parameter : OlmoParameters(config)) {
      std::vector<float> values(static_cast<std::size_t>(parameter.shape.elements()));
      for (float& value : values) value = normal(generator);
      std::vector<std::int64_t> shape;
      for (int axis = 0; axis < parameter.shape.rank(); ++axis) shape.push_back(parameter.shape[axis]);
      tensors.Add({.name = parameter.name, .dtype = "F32", .shape = std::move(shape)},
                  TextOf(std::as_bytes(std::span(values))));
    }
    return tensors;
  }

  /// Saves a checkpoint and returns its folder.
  std::string Checkpoint(const ModelConfig& model, const NamedTensors& tensors) const {
    TrainConfig config;
    config.run_name = "test";
    config.precision = Precision::kAmpBf16;
    config.model = model;
    CheckpointWriter writer(folder_.File("run"), {.step = 7}, IfExists::kReplace, OneRank());
    writer.AddTensors("model.safetensors", WholeTensors(tensors.infos),
                      [&](std::size_t index, Part) -> std::span<const std::byte> {
                        return std::as_bytes(std::span(tensors.bytes.at(tensors.infos[index].name)));
                      });
    writer.Commit({}, Dump(config));
    return writer.path();
  }

  /// Replaces a safetensors file.
  static void Rewrite(const std::string& path, const NamedTensors& tensors) {
    std::filesystem::remove(path);
    SafetensorsWriter writer(path, tensors.infos);
    FillTensors(tensors, writer);
    writer.Finish();
  }

  std::string File(std::string_view name) const { return folder_.File(name); }

  TempDir folder_;
};

}  // namespace coat
