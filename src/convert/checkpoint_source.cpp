// A checkpoint as a model to convert.

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "checkpoint/quoted.h"
#include "config/load.h"
#include "convert/check_model.h"
#include "convert/checkpoint_files.h"
#include "convert/hf_files.h"
#include "convert/model.h"

namespace coat {

Model OpenCheckpoint(const std::string& folder) {
  const CheckpointReader reader(folder);
  Model model;
  model.config_path = fmt::format("{}/{}", folder, kConfigFile);
  model.config =
      ParseTrainConfig(reader.ReadFile(std::string(kConfigFile)), model.config_path, {}, {.check_paths = false});
  CheckModelConfig(model.config);
  const auto file = std::make_shared<const SafetensorsReader>(reader.OpenSafetensors(kHfModelFile));
  model.files = file;
  model.tensors = TensorsOf(model.config.model);
  std::set<std::string> wanted;
  for (ModelTensor& tensor : model.tensors) {
    file->Bytes(tensor.name, "F32", tensor.shape);
    wanted.insert(tensor.name);
    tensor.pieces.push_back({.type = FloatType::kFloat32,
                             .elements = tensor.elements(),
                             .place = fmt::format("{}: tensor {}", file->path(), Quoted(tensor.name)),
                             .bytes = [file = file.get(), name = tensor.name] { return file->Bytes(name); }});
  }
  for (const TensorInfo& tensor : file->tensors()) {
    if (wanted.contains(tensor.name)) continue;
    throw IoError(fmt::format("{}: tensor {} is no parameter of the model that {} describes", file->path(),
                              Quoted(tensor.name), kConfigFile));
  }
  if (reader.Contains(kOptimizerStateFile)) {
    model.training_files.push_back(fmt::format("{}/{}", folder, kOptimizerStateFile));
  }
  return model;
}

}  // namespace coat
