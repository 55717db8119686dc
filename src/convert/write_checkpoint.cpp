// A model as a checkpoint.

#include "base/error.h"
#include "checkpoint/directory.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/trainer_state.h"
#include "config/dump.h"
#include "convert/output_folder.h"
#include "convert/progress.h"
#include "convert/write_model.h"

namespace coat {

namespace {

std::vector<TensorInfo> InfosOf(const std::vector<ModelTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const ModelTensor& tensor : tensors) {
    infos.push_back({.name = tensor.name, .dtype = "F32", .shape = tensor.shape});
  }
  return infos;
}

FileRecord WriteTensors(const Model& model, const std::string& path, Progress& progress) {
  SafetensorsWriter writer(path, InfosOf(model.tensors), {{"format", "pt"}});
  for (const ModelTensor& tensor : model.tensors) {
    CopyValues(tensor, 0, tensor.elements(), FloatType::kFloat32,
               progress.Counted(FloatType::kFloat32,
                                [&](std::span<const std::byte> bytes) { writer.Write(tensor.name, bytes); }));
  }
  return writer.Finish();
}

/// Under the names that a run looks for.
FileRecord WriteOptimizer(const OptimizerState& optimizer, const std::string& path, Progress& progress) {
  constexpr const char* kNorms = "grad_norm_exp_avg";
  std::vector<TensorInfo> infos = InfosOf(optimizer.moments);
  infos.push_back(
      {.name = kNorms, .dtype = "F32", .shape = {static_cast<std::int64_t>(optimizer.gradient_norms.size())}});
  SafetensorsWriter writer(path, std::move(infos), {{"format", "pt"}});
  for (const ModelTensor& moment : optimizer.moments) {
    CopyValues(moment, 0, moment.elements(), FloatType::kFloat32,
               progress.Told([&](std::span<const std::byte> bytes) { writer.Write(moment.name, bytes); }));
  }
  writer.Write(kNorms, std::as_bytes(std::span(optimizer.gradient_norms)));
  return writer.Finish();
}

}  // namespace

ConversionResult WriteCheckpoint(const Model& model, const std::string& to, const WriteOptions& options) {
  COAT_REQUIRE(options.type == FloatType::kFloat32, "WriteCheckpoint: type is {}; expected float32",
               TorchName(options.type));
  Progress progress(model, options);
  OutputFolder folder(to, options.if_exists);
  TrainerState state = model.trainer.value_or(TrainerState());
  state.files.push_back(WriteTensors(model, folder.FilePath(kModelFile), progress));
  if (model.optimizer) {
    state.files.push_back(WriteOptimizer(*model.optimizer, folder.FilePath(kOptimizerFile), progress));
    state.extra.updates = model.optimizer->updates;
  }
  state.files.push_back(folder.WriteText(kConfigFile, Dump(model.config)));
  folder.WriteText(kTrainerStateFile, FormatTrainerState(state));
  options.progress(progress.total(), progress.total());  // who wants to stop can still do so
  folder.Commit();
  return {.tensors = static_cast<std::int64_t>(model.tensors.size()), .parameters = progress.total(), .files = 1};
}

}  // namespace coat
