#include "engine/run_checkpoint.h"

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/directory.h"
#include "comm/agreement.h"
#include "config/load.h"
#include "engine/architecture.h"

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
  for (const Parameter& parameter : model.parameters()) {
    tensors.push_back({.name = parameter.name,
                       .tensor = parameter.value,
                       .whole = parameter.shape,
                       .part = {.first = parameter.part.first, .count = parameter.value.elements()}});
  }
  return tensors;
}

std::vector<StateTensor> OptimizerStateOf(const Engine& engine) {
  std::vector<StateTensor> tensors;
  const auto add = [&](const StateTensor& state) { tensors.push_back(state); };
  engine.optimizer().ForEachState(add);
  engine.clipping().ForEachState(add);
  return tensors;
}

TensorInfo WholeInfo(const StateTensor& state) {
  TensorInfo info = FileInfo(state.name, state.tensor);
  info.shape = Extents(state.whole);
  return info;
}

void SaveFile(const Context& ctx, std::string_view file, const std::vector<StateTensor>& tensors,
              CheckpointWriter& writer) {
  std::vector<StatePart> parts;
  for (const StateTensor& state : tensors) parts.push_back({WholeInfo(state), state.part});
  std::vector<std::byte> copy;
  writer.AddTensors(std::string(file), parts, [&](std::size_t index, Part part) -> std::span<const std::byte> {
    const StateTensor& state = tensors[index];
    const TensorView some = ViewOf(state.tensor, {.first = part.first - state.part.first, .count = part.count});
    const auto bytes = static_cast<std::size_t>(some.bytes());
    if (some.device() == DeviceKind::kCpu) return {some.As<std::byte>(), bytes};
    copy.resize(std::max(copy.size(), bytes));
    ctx.Download(some, copy.data());
    return std::span(copy).first(bytes);
  });
}

/// Copies this run's part of every tensor of a file; `advice` ends the message when the file holds something else.
void LoadFile(const Context& ctx, const CheckpointReader& reader, std::string_view file,
              const std::vector<StateTensor>& tensors, std::string_view advice) {
  const CheckpointTensors in(reader, file);
  std::set<std::string_view> wanted;
  for (const StateTensor& state : tensors) wanted.insert(state.name);
  for (const PartedTensor& found : in.tensors()) {
    if (wanted.contains(found.whole.name)) continue;
    throw IoError(fmt::format("{} holds {}, which this run has not{}", in.path(), found.whole.name, advice));
  }
  for (const StateTensor& state : tensors) {
    if (!in.Contains(state.name)) {
      throw IoError(fmt::format("{} has no {}, which this run has{}", in.path(), state.name, advice));
    }
    const TensorInfo& found = in.Tensor(state.name).whole;
    const TensorInfo expected = WholeInfo(state);
    if (found.dtype != expected.dtype || found.shape != expected.shape) {
      throw IoError(fmt::format("{}: {} is {} {}; this run wants {} {}{}", in.path(), state.name,
                                ShapeText(found.shape), found.dtype, ShapeText(expected.shape), expected.dtype,
                                advice));
    }
  }
  for (const StateTensor& state : tensors) {
    in.ForEachRun(state.name, state.part, [&](Part run, std::span<const std::byte> bytes) {
      run.first -= state.part.first;
      ctx.Upload(bytes.data(), ViewOf(state.tensor, run));
    });
  }
}

std::string ConfigPath(const CheckpointReader& reader) {
  return fmt::format("{}/{}", reader.path(), kConfigFile);
}

TrainConfig SavedConfig(const CheckpointReader& reader) {
  return ParseTrainConfig(reader.ReadFile(kConfigFile), ConfigPath(reader), {}, {.check_paths = false});
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
    if (!tuning.empty()) writer.AddFile(kTuningFile, tuning);
  }
}

std::vector<std::string> CompareWithCheckpoint(const TrainConfig& config, const CheckpointReader& reader) {
  return CompareArchitectures(SavedConfig(reader).model, ConfigPath(reader), config);
}

std::vector<std::string> CompareDataOrder(const TrainConfig& config, const CheckpointReader& reader) {
  const TrainConfig saved = SavedConfig(reader);
  std::vector<std::string> warnings;
  const auto compare = [&](bool same, std::string_view key) {
    if (same) return;
    warnings.push_back(
        fmt::format("{} differs from that in {}, whose place in the epoch is taken over: some sequences may come "
                    "twice and some not at all",
                    key, ConfigPath(reader)));
  };
  const auto seed = [](const TrainConfig& of) { return of.data.seed.value_or(of.seed); };
  compare(seed(config) == seed(saved), config.data.seed ? "data.seed" : "seed");
  compare(config.data.paths == saved.data.paths, "data.paths");
  compare(config.data.datasets == saved.data.datasets, "data.datasets");
  compare(config.data.memmap_dtype == saved.data.memmap_dtype, "data.memmap_dtype");
  compare(config.data.drop_last == saved.data.drop_last, "data.drop_last");
  compare(config.model.max_sequence_length == saved.model.max_sequence_length, "model.max_sequence_length");
  return warnings;
}

void LoadParameters(const CheckpointReader& reader, const Context& ctx, const Olmo& model) {
  LoadFile(ctx, reader, kModelFile, ParametersOf(model), ": the checkpoint is of another model");
}

void LoadParameters(const CheckpointReader& reader, Engine& engine) {
  Together(engine.ranks(), [&] { LoadParameters(reader, engine.context(), engine.model()); });
  engine.ParametersReplaced();
}

std::string LoadTuning(const CheckpointReader& reader, const Context& ctx) {
  if (!ctx.backend() || !reader.Contains(kTuningFile)) return "";
  return ctx.backend()->ImportTuning(reader.ReadFile(kTuningFile));
}

void LoadOptimizerState(const CheckpointReader& reader, const Engine& engine) {
  Together(engine.ranks(), [&] {
    if (!CheckpointTensors::Has(reader, kOptimizerFile)) {
      throw ConfigError(
          fmt::format("load_path: {} has no optimizer state ({}), as a model converted from another format; accepted: "
                      "reset_optimizer_state: true, to start the optimizer anew",
                      reader.path(), kOptimizerFile));
    }
    LoadFile(engine.context(), reader, kOptimizerFile, OptimizerStateOf(engine),
             fmt::format("; --load_path={} --reset_optimizer_state with another save_folder starts the optimizer anew",
                         reader.path()));
  });
}

}  // namespace coat
