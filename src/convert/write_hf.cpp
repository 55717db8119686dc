// A model as a Hugging Face directory.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors.h"
#include "convert/hf_config.h"
#include "convert/hf_files.h"
#include "convert/hf_tensors.h"
#include "convert/output_folder.h"
#include "convert/progress.h"
#include "convert/write_model.h"

namespace coat {

namespace {

/// A tensor to write: rows of one of ours.
struct HfTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  const ModelTensor* ours = nullptr;
  std::int64_t first = 0;  // element
  std::int64_t elements = 0;
};
using Shard = std::vector<HfTensor>;

std::vector<HfTensor> PartsOf(const Model& model) {
  std::vector<HfTensor> parts;
  for (const ModelTensor& tensor : model.tensors) {
    std::int64_t first = 0;
    for (const HfPart& part : HfPartsOf(tensor.name, model.config.model)) {
      std::vector<std::int64_t> shape = tensor.shape;
      shape[0] = part.rows;
      const std::int64_t elements = tensor.elements() / tensor.shape[0] * part.rows;
      parts.push_back({part.name, std::move(shape), &tensor, first, elements});
      first += elements;
    }
  }
  return parts;
}

/// The tensors in files of at most so many bytes, in each by name, as transformers writes them.
std::vector<Shard> Split(const std::vector<HfTensor>& parts, const WriteOptions& options) {
  std::vector<Shard> shards(1);
  std::int64_t filled = 0;
  for (const HfTensor& part : parts) {
    const std::int64_t bytes = part.elements * static_cast<std::int64_t>(SizeOf(options.type));
    if (!shards.back().empty() && filled + bytes > options.shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(part);
    filled += bytes;
  }
  for (Shard& shard : shards) std::ranges::sort(shard, {}, &HfTensor::name);
  return shards;
}

void WriteShard(const Shard& shard, FloatType type, const std::string& path, Progress& progress) {
  std::vector<TensorInfo> tensors;
  for (const HfTensor& part : shard) {
    tensors.push_back({.name = part.name, .dtype = std::string(SafetensorsName(type)), .shape = part.shape});
  }
  SafetensorsWriter writer(path, std::move(tensors), {{"format", "pt"}});
  for (const HfTensor& part : shard) {
    CopyValues(*part.ours, part.first, part.elements, type,
               progress.Counted(type, [&](std::span<const std::byte> bytes) { writer.Write(part.name, bytes); }));
  }
  writer.Finish();
}

void WriteWeights(const std::vector<Shard>& shards, FloatType type, const OutputFolder& folder, Progress& progress) {
  if (shards.size() == 1) {
    WriteShard(shards[0], type, folder.FilePath(kHfModelFile), progress);
    return;
  }
  nlohmann::json weight_map = nlohmann::json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    WriteShard(shards[i], type, folder.FilePath(name), progress);
    for (const HfTensor& part : shards[i]) weight_map[part.name] = name;
  }
  const nlohmann::json metadata = {{"total_parameters", progress.total()},
                                   {"total_size", progress.total() * static_cast<std::int64_t>(SizeOf(type))}};
  const nlohmann::json index = {{"metadata", metadata}, {"weight_map", weight_map}};
  folder.WriteText(kHfIndexFile, index.dump(2) + "\n");
}

}  // namespace

ConversionResult WriteHf(const Model& model, const std::string& to, const WriteOptions& options) {
  COAT_REQUIRE(options.shard_bytes > 0, "WriteHf: shard_bytes is {}; expected above 0", options.shard_bytes);
  const HfSettings settings = model.hf.value_or(HfSettings());
  const std::string config = FormatHfConfig(model.config.model, options.type, model.config_path, settings.tokens);
  Progress progress(model, options);
  OutputFolder folder(to, options.if_exists);
  const std::vector<HfTensor> parts = PartsOf(model);
  const std::vector<Shard> shards = Split(parts, options);
  WriteWeights(shards, options.type, folder, progress);
  folder.WriteText(kHfGenerationConfigFile,
                   settings.generation.value_or(FormatHfGenerationConfig(model.config.model, settings.tokens)));
  folder.WriteText(kHfConfigFile, config);
  options.progress(progress.total(), progress.total());  // who wants to stop can still do so
  folder.Commit();
  return {.tensors = static_cast<std::int64_t>(parts.size()),
          .parameters = progress.total(),
          .files = static_cast<std::int64_t>(shards.size())};
}

}  // namespace coat
