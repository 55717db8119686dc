// From a Hugging Face directory to a checkpoint.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/convert.h"
#include "checkpoint/directory.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_files.h"
#include "checkpoint/hf_tensors.h"
#include "checkpoint/hf_weights.h"
#include "checkpoint/output_folder.h"
#include "checkpoint/quoted.h"
#include "checkpoint/trainer_state.h"
#include "checkpoint/write_converted.h"
#include "config/dump.h"

namespace coat {

namespace {

using Shape = std::vector<std::int64_t>;

/// Where a tensor is, checked.
struct Source {
  const SafetensorsReader* file = nullptr;
  FloatType type = FloatType::kFloat32;

  std::string Text(const std::string& name) const { return fmt::format("{}: tensor {}", file->path(), Quoted(name)); }
};

Source Find(const HfWeights& weights, const std::string& name, const Shape& shape, const std::string& config) {
  const SafetensorsReader* const file = weights.FileOf(name);
  if (file == nullptr) {
    throw IoError(fmt::format("{}: no tensor {}; expected {}, as {} says{}", weights.path(), Quoted(name),
                              ShapeText(shape), config,
                              name == kHfHead ? " (tie_word_embeddings: true is for a model without one)" : ""));
  }
  const TensorInfo& info = file->Info(name);
  const std::optional<FloatType> type = ParseSafetensorsName(info.dtype);
  const Source source = {file, type.value_or(FloatType::kFloat32)};
  if (!type) throw IoError(fmt::format("{} is {}; accepted: F32, BF16, F16", source.Text(name), info.dtype));
  if (info.shape != shape) {
    throw IoError(fmt::format("{} is {}; expected {}, as {} says", source.Text(name), ShapeText(info.shape),
                              ShapeText(shape), config));
  }
  return source;
}

/// Whether a tensor that no parameter is made of may be passed over. Throws if a tied model's head is not its
/// embedding.
bool IsRedundant(const HfWeights& weights, const std::string& name, const ModelConfig& model,
                 const std::string& config) {
  if (name.starts_with("model.layers.") && name.ends_with(".self_attn.rotary_emb.inv_freq")) return true;
  if (name != kHfHead) return false;
  const Shape shape = {model.EmbeddingRows(), model.d_model};
  const Source head = Find(weights, name, shape, config);
  const Source embedding = Find(weights, kHfEmbedding, shape, config);
  if (head.type == embedding.type && std::ranges::equal(head.file->Bytes(name), embedding.file->Bytes(kHfEmbedding))) {
    return true;
  }
  throw IoError(
      fmt::format("{} differs from {}, although tie_word_embeddings is true in {}; set it to false to have "
                  "both",
                  head.Text(name), Quoted(kHfEmbedding), config));
}

/// Throws IoError unless `weights` are exactly those of the model.
void CheckTensors(const HfWeights& weights, const ModelConfig& model, const std::vector<HfMapping>& mappings,
                  const std::string& config) {
  std::vector<std::string> wanted;
  for (const HfMapping& mapping : mappings) {
    for (const HfPart& part : mapping.parts) {
      Find(weights, part.name, {part.rows, mapping.columns}, config);
      wanted.push_back(part.name);
    }
  }
  std::ranges::sort(wanted);
  for (const std::string& name : weights.names()) {
    if (std::ranges::binary_search(wanted, name) || IsRedundant(weights, name, model, config)) continue;
    throw IoError(
        fmt::format("{}: tensor {} is no part of the OlmoForCausalLM that {} describes; its linear layers "
                    "have no biases and its norms no weights",
                    weights.FileOf(name)->path(), Quoted(name), config));
  }
}

/// What a run that loads the checkpoint needs to know of it, with defaults for the rest.
TrainConfig ConfigOf(const ModelConfig& model, const std::string& folder) {
  TrainConfig config;
  config.run_name = std::filesystem::path(folder).filename().string();
  config.model = model;
  config.precision = Precision::kAmpBf16;
  return config;
}

FileRecord WriteModel(const HfWeights& weights, const std::vector<HfMapping>& mappings, const std::string& config,
                      const OutputFolder& folder) {
  std::vector<TensorInfo> tensors;
  for (const HfMapping& mapping : mappings) {
    tensors.push_back({.name = mapping.name, .dtype = "F32", .shape = {mapping.rows, mapping.columns}});
  }
  SafetensorsWriter writer(folder.FilePath(kHfModelFile), std::move(tensors), {{"format", "pt"}});
  for (const HfMapping& mapping : mappings) {
    for (const HfPart& part : mapping.parts) {
      const Source source = Find(weights, part.name, {part.rows, mapping.columns}, config);
      WriteConverted(source.file->Bytes(part.name), source.type, FloatType::kFloat32, source.Text(part.name), writer,
                     mapping.name);
    }
  }
  return writer.Finish();
}

}  // namespace

ConversionResult ImportFromHf(const std::string& from, const std::string& to, IfExists if_exists) {
  const std::string config = fmt::format("{}/{}", from, kHfConfigFile);
  const ModelConfig model = ReadHfConfig(config);
  const HfWeights weights(from);
  const std::vector<HfMapping> mappings = MapOlmoToHf(model);
  CheckTensors(weights, model, mappings, config);

  OutputFolder folder(to, if_exists);
  TrainerState state;
  state.files.push_back(WriteModel(weights, mappings, config, folder));
  state.files.push_back(folder.WriteText(std::string(kConfigFile), Dump(ConfigOf(model, folder.path()))));
  folder.WriteText(std::string(kTrainerStateFile), FormatTrainerState(state));
  folder.Commit();

  ConversionResult result = {.tensors = static_cast<std::int64_t>(mappings.size()), .files = 1};
  for (const HfMapping& mapping : mappings) result.parameters += mapping.rows * mapping.columns;
  return result;
}

}  // namespace coat
