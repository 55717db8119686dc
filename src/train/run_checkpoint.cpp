#include "train/run_checkpoint.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/error.h"
#include "checkpoint/directory.h"
#include "checkpoint/safetensors.h"
#include "config/load.h"
#include "train/architecture.h"

namespace coat {

namespace {

/// The safetensors name of a type that states and parameters have.
std::string_view FileType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kE4M3:
      return "F8_E4M3";
    case DType::kE5M2:
      return "F8_E5M2";
    case DType::kU8:
      return "U8";
    case DType::kI32:
      return "I32";
    case DType::kI64:
      return "I64";
  }
  return "";
}

std::vector<std::int64_t> Extents(const Shape& shape) {
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  return extents;
}

std::vector<StateTensor> ParametersOf(const Olmo& model) {
  std::vector<StateTensor> tensors;
  for (const Parameter& parameter : model.parameters()) tensors.push_back({parameter.name, parameter.value});
  return tensors;
}

std::vector<StateTensor> OptimizerStateOf(const Engine& engine) {
  std::vector<StateTensor> tensors;
  const auto add = [&](const StateTensor& state) { tensors.push_back(state); };
  engine.optimizer().ForEachState(add);
  engine.clipping().ForEachState(add);
  return tensors;
}

void SaveFile(const Context& ctx, std::string_view file, const std::vector<StateTensor>& tensors,
              CheckpointWriter& writer) {
  std::vector<TensorInfo> infos;
  std::map<std::string, TensorView> by_name;
  for (const StateTensor& state : tensors) {
    infos.push_back(FileInfo(state.name, state.tensor));
    by_name[state.name] = state.tensor;
  }
  std::vector<std::byte> copy;
  writer.AddSafetensors(std::string(file), std::move(infos), {{"format", "pt"}}, [&](SafetensorsWriter& out) {
    for (const TensorInfo& info : out.tensors()) {
      const TensorView tensor = by_name.at(info.name);
      const auto bytes = static_cast<std::size_t>(tensor.bytes());
      if (tensor.device() == DeviceKind::kCpu) {
        out.Write(info.name, {tensor.As<std::byte>(), bytes});
        continue;
      }
      copy.resize(std::max(copy.size(), bytes));
      ctx.Download(tensor, copy.data());
      out.Write(info.name, {copy.data(), bytes});
    }
  });
}

/// Copies every tensor of a file; `advice` ends the message when the file holds something else.
void LoadFile(const Context& ctx, const CheckpointReader& reader, std::string_view file,
              const std::vector<StateTensor>& tensors, std::string_view advice) {
  const SafetensorsReader in = reader.OpenSafetensors(std::string(file));
  std::map<std::string, bool> wanted;
  for (const StateTensor& state : tensors) wanted[state.name] = true;
  for (const TensorInfo& info : in.tensors()) {
    if (wanted.contains(info.name)) continue;
    throw IoError(fmt::format("{} holds {}, which this run has not{}", in.path(), info.name, advice));
  }
  for (const StateTensor& state : tensors) {
    if (!in.Contains(state.name)) {
      throw IoError(fmt::format("{} has no {}, which this run has{}", in.path(), state.name, advice));
    }
    const TensorInfo& info = in.Info(state.name);
    const std::vector<std::int64_t> extents = Extents(state.tensor.shape());
    if (info.dtype != FileType(state.tensor.dtype()) || info.shape != extents) {
      throw IoError(fmt::format("{}: {} is {} {}; this run wants {} {}{}", in.path(), state.name, ShapeText(info.shape),
                                info.dtype, ShapeText(extents), FileType(state.tensor.dtype()), advice));
    }
  }
  for (const StateTensor& state : tensors) {
    ctx.Upload(in.Bytes(state.name).data(), state.tensor);
  }
}

}  // namespace

TensorInfo FileInfo(const std::string& name, const ConstTensorView& tensor) {
  return {.name = name, .dtype = std::string(FileType(tensor.dtype())), .shape = Extents(tensor.shape())};
}

void SaveTensors(const Engine& engine, CheckpointWriter& writer) {
  SaveFile(engine.context(), kModelFile, ParametersOf(engine.model()), writer);
  SaveFile(engine.context(), kOptimizerFile, OptimizerStateOf(engine), writer);
  if (const std::shared_ptr<Device>& device = engine.context().backend()) {
    const std::string tuning = device->ExportTuning();
    if (!tuning.empty()) writer.AddFile(std::string(kTuningFile), tuning);
  }
}

std::vector<std::string> CompareWithCheckpoint(const TrainConfig& config, const CheckpointReader& reader) {
  const std::string file = fmt::format("{}/{}", reader.path(), kConfigFile);
  return CompareArchitectures(LoadTrainConfig(file, {}, {.check_paths = false}).model, file, config);
}

void LoadParameters(const CheckpointReader& reader, const Context& ctx, const Olmo& model) {
  LoadFile(ctx, reader, kModelFile, ParametersOf(model), ": the checkpoint is of another model");
}

void LoadParameters(const CheckpointReader& reader, Engine& engine) {
  LoadParameters(reader, engine.context(), engine.model());
  engine.ParametersReplaced();
}

std::string LoadTuning(const CheckpointReader& reader, const Context& ctx) {
  const std::string file(kTuningFile);
  if (!ctx.backend() || !reader.Contains(file)) return "";
  return ctx.backend()->ImportTuning(reader.ReadFile(file));
}

void LoadOptimizerState(const CheckpointReader& reader, const Engine& engine) {
  if (!reader.Contains(std::string(kOptimizerFile))) {
    throw ConfigError(
        fmt::format("load_path: {} has no optimizer state ({}), as a model converted from another format; accepted: "
                    "reset_optimizer_state: true, to start the optimizer anew",
                    reader.path(), kOptimizerFile));
  }
  LoadFile(engine.context(), reader, kOptimizerFile, OptimizerStateOf(engine),
           "; set reset_optimizer_state to start the optimizer anew");
}

}  // namespace coat
