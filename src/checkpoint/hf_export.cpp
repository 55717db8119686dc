// From a checkpoint to a Hugging Face directory.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/convert.h"
#include "checkpoint/directory.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_files.h"
#include "checkpoint/hf_tensors.h"
#include "checkpoint/output_folder.h"
#include "checkpoint/quoted.h"
#include "checkpoint/write_converted.h"
#include "config/load.h"
#include "config/validate.h"

namespace coat {

namespace {

/// A tensor to write: rows of one of ours.
struct Part {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::string ours;
  std::int64_t first_row = 0;

  std::int64_t elements() const { return rows * columns; }
};
using Shard = std::vector<Part>;

/// Throws IoError unless the file holds exactly the parameters of the configuration.
void CheckTensors(const SafetensorsReader& model, const std::vector<HfMapping>& mappings) {
  std::map<std::string, bool> wanted;
  for (const HfMapping& mapping : mappings) {
    model.Bytes(mapping.name, "F32", {mapping.rows, mapping.columns});
    wanted[mapping.name] = true;
  }
  for (const TensorInfo& tensor : model.tensors()) {
    if (wanted.contains(tensor.name)) continue;
    throw IoError(fmt::format("{}: tensor {} is no parameter of the model that {} describes", model.path(),
                              Quoted(tensor.name), kConfigFile));
  }
}

/// The tensors in files of at most so many bytes, in each by name, as transformers writes them.
std::vector<Shard> Split(const std::vector<HfMapping>& mappings, const ExportOptions& options) {
  std::vector<Shard> shards(1);
  std::int64_t filled = 0;
  for (const HfMapping& mapping : mappings) {
    std::int64_t row = 0;
    for (const HfPart& part : mapping.parts) {
      const std::int64_t bytes = part.rows * mapping.columns * static_cast<std::int64_t>(SizeOf(options.type));
      if (!shards.back().empty() && filled + bytes > options.shard_bytes) {
        shards.emplace_back();
        filled = 0;
      }
      shards.back().push_back({part.name, part.rows, mapping.columns, mapping.name, row});
      filled += bytes;
      row += part.rows;
    }
  }
  for (Shard& shard : shards) std::ranges::sort(shard, {}, &Part::name);
  return shards;
}

void WriteShard(const SafetensorsReader& model, const Shard& shard, FloatType type, const std::string& path) {
  std::vector<TensorInfo> tensors;
  for (const Part& part : shard) {
    tensors.push_back(
        {.name = part.name, .dtype = std::string(SafetensorsName(type)), .shape = {part.rows, part.columns}});
  }
  SafetensorsWriter writer(path, std::move(tensors), {{"format", "pt"}});
  for (const Part& part : shard) {
    const auto row_bytes = static_cast<std::size_t>(part.columns) * SizeOf(FloatType::kFloat32);
    const std::span<const std::byte> rows = model.Bytes(part.ours).subspan(
        static_cast<std::size_t>(part.first_row) * row_bytes, static_cast<std::size_t>(part.rows) * row_bytes);
    WriteConverted(rows, FloatType::kFloat32, type, fmt::format("{}: tensor {}", model.path(), Quoted(part.ours)),
                   writer, part.name);
  }
  writer.Finish();
}

void WriteWeights(const SafetensorsReader& model, const std::vector<Shard>& shards, FloatType type,
                  const OutputFolder& folder) {
  if (shards.size() == 1) {
    WriteShard(model, shards[0], type, folder.FilePath(kHfModelFile));
    return;
  }
  nlohmann::json weight_map = nlohmann::json::object();
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    WriteShard(model, shards[i], type, folder.FilePath(name));
    for (const Part& part : shards[i]) {
      weight_map[part.name] = name;
      elements += part.elements();
    }
  }
  const nlohmann::json metadata = {{"total_parameters", elements},
                                   {"total_size", elements * static_cast<std::int64_t>(SizeOf(type))}};
  const nlohmann::json index = {{"metadata", metadata}, {"weight_map", weight_map}};
  folder.WriteText(kHfIndexFile, index.dump(2) + "\n");
}

}  // namespace

ConversionResult ExportToHf(const std::string& from, const std::string& to, const ExportOptions& options) {
  COAT_REQUIRE(options.shard_bytes > 0, "ExportToHf: shard_bytes is {}; expected above 0", options.shard_bytes);
  const CheckpointReader reader(from);
  const std::string config_file = fmt::format("{}/{}", from, kConfigFile);
  const TrainConfig config =
      ParseTrainConfig(reader.ReadFile(std::string(kConfigFile)), config_file, {}, {.check_paths = false});
  Validate(config, {.needs_data = false});
  const std::string hf_config = FormatHfConfig(config.model, options.type, config_file);
  const SafetensorsReader model = reader.OpenSafetensors(kHfModelFile);
  const std::vector<HfMapping> mappings = MapOlmoToHf(config.model);
  CheckTensors(model, mappings);

  OutputFolder folder(to, options.if_exists);
  const std::vector<Shard> shards = Split(mappings, options);
  WriteWeights(model, shards, options.type, folder);
  folder.WriteText(kHfGenerationConfigFile, FormatHfGenerationConfig(config.model));
  folder.WriteText(kHfConfigFile, hf_config);
  folder.Commit();

  ConversionResult result = {.files = static_cast<std::int64_t>(shards.size())};
  for (const Shard& shard : shards) {
    result.tensors += static_cast<std::int64_t>(shard.size());
    for (const Part& part : shard) result.parameters += part.elements();
  }
  return result;
}

}  // namespace coat
