// An unsharded checkpoint of OLMo as a model to convert.

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"
#include "checkpoint/tensor_info.h"
#include "config/load.h"
#include "convert/check_model.h"
#include "convert/model.h"
#include "convert/native_files.h"
#include "convert/native_weights.h"
#include "convert/olmo_training.h"

namespace coat {

namespace {

/// The path of the first of two files that is in the folder, if one is.
std::optional<std::string> FirstOf(const std::string& folder, std::array<const char*, 2> names) {
  for (const char* const name : names) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (KindOf(path) != PathKind::kMissing) return path;
  }
  return std::nullopt;
}

}  // namespace

Model OpenOlmo(const std::string& folder, bool weights_only) {
  Model model;
  model.config_path = fmt::format("{}/{}", folder, kNativeConfigFile);
  model.config = ParseTrainConfig(std::string(MappedFile(model.config_path).text()), model.config_path, {},
                                  {.check_paths = false});
  const std::int64_t block_group_size = model.config.model.block_group_size;
  model.config.model.block_group_size = 1;  // groups are a matter of names
  CheckModelConfig(model.config);
  if (block_group_size < 1 || block_group_size > model.config.model.n_layers) {
    throw ConfigError(fmt::format("{}: found {}; accepted: 1 to model.n_layers, {}",
                                  model.config.sources.Where("model.block_group_size"), block_group_size,
                                  model.config.model.n_layers));
  }
  const auto weights = std::make_shared<const NativeWeights>(folder, block_group_size);
  model.files = weights;
  model.tensors = TensorsOf(model.config.model);
  std::set<std::string> wanted;
  for (ModelTensor& tensor : model.tensors) {
    wanted.insert(tensor.name);
    const auto found = weights->tensors().find(tensor.name);
    if (found == weights->tensors().end()) {
      throw IoError(fmt::format("{}: no tensor {}; expected {}, as {} says", weights->path(), Quoted(tensor.name),
                                ShapeText(tensor.shape), model.config_path));
    }
    if (found->second.shape != tensor.shape) {
      throw IoError(fmt::format("{} is {}; expected {}, as {} says", found->second.piece.place,
                                ShapeText(found->second.shape), ShapeText(tensor.shape), model.config_path));
    }
    tensor.pieces.push_back(found->second.piece);
  }
  for (const auto& [name, tensor] : weights->tensors()) {
    if (wanted.contains(name)) continue;
    throw IoError(
        fmt::format("{} is no parameter of the model that {} describes", tensor.piece.place, model.config_path));
  }
  // As in OLMo, the second only if there is not the first.
  if (const auto optimizer = FirstOf(folder, {kNativeSafetensorsOptimizerFile, kNativeOptimizerFile})) {
    model.training_files.push_back(*optimizer);
    if (!weights_only) model.optimizer = ReadOlmoOptimizer(*optimizer, model, block_group_size);
  }
  if (const auto trainer = FirstOf(folder, {kNativeSafetensorsTrainerFile, kNativeTrainerFile})) {
    model.training_files.push_back(*trainer);
    if (!weights_only) model.trainer = ReadOlmoTrainer(*trainer, model.config.model.max_sequence_length);
  }
  return model;
}

}  // namespace coat
