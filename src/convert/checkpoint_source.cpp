// A checkpoint as a model to convert.

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/directory.h"
#include "checkpoint/quoted.h"
#include "config/load.h"
#include "convert/check_model.h"
#include "convert/model.h"

namespace coat {

namespace {

/// The pieces of a parameter, whose files are opened and so checked.
void AddPieces(const CheckpointTensors& tensors, ModelTensor& tensor) {
  const PartedTensor& found = tensors.Tensor(tensor.name);
  if (found.whole.dtype != "F32" || found.whole.shape != tensor.shape) {
    throw IoError(fmt::format("{}: tensor {} is {} {}; expected F32 {}", tensors.path(), Quoted(tensor.name),
                              found.whole.dtype, ShapeText(found.whole.shape), ShapeText(tensor.shape)));
  }
  for (const TensorPart& part : found.parts) {
    tensors.Bytes(found, part);
    tensor.pieces.push_back({.type = FloatType::kFloat32,
                             .elements = part.part.count,
                             .place = fmt::format("{}: tensor {}", tensors.path(), Quoted(tensor.name)),
                             .bytes = [&tensors, &found, part] { return tensors.Bytes(found, part); }});
  }
}

}  // namespace

Model OpenCheckpoint(const std::string& folder) {
  const CheckpointReader reader(folder);
  Model model;
  model.config_path = fmt::format("{}/{}", folder, kConfigFile);
  model.config = ParseTrainConfig(reader.ReadFile(kConfigFile), model.config_path, {}, {.check_paths = false});
  CheckModelConfig(model.config);
  const auto tensors = std::make_shared<const CheckpointTensors>(reader, kModelFile);
  model.files = tensors;
  model.tensors = TensorsOf(model.config.model);
  std::set<std::string> wanted;
  for (ModelTensor& tensor : model.tensors) {
    wanted.insert(tensor.name);
    AddPieces(*tensors, tensor);
  }
  for (const PartedTensor& tensor : tensors->tensors()) {
    if (wanted.contains(tensor.whole.name)) continue;
    throw IoError(fmt::format("{}: tensor {} is no parameter of the model that {} describes", tensors->path(),
                              Quoted(tensor.whole.name), kConfigFile));
  }
  for (const std::string& name : {std::string(kOptimizerFile), IndexFileName(kOptimizerFile)}) {
    if (reader.Contains(name)) model.training_files.push_back(fmt::format("{}/{}", folder, name));
  }
  return model;
}

}  // namespace coat
