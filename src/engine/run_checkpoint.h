#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "engine/engine.h"

namespace coat {

/// How a tensor of this name is described in a safetensors file.
TensorInfo FileInfo(const std::string& name, const ConstTensorView& tensor);

/// Adds this rank's parameters, optimizer state and, as rank 0, its device's tuning to a checkpoint that is being
/// written by the engine's ranks.
void SaveTensors(const Engine& engine, CheckpointWriter& writer);

/// Compares the model of a checkpoint with the configuration's: see CompareArchitectures.
std::vector<std::string> CompareWithCheckpoint(const TrainConfig& config, const CheckpointReader& reader);

/// A warning on each key by which an epoch of this configuration has other sequences, or another order of them, than
/// the checkpoint's. For a run that takes over a place within an epoch.
std::vector<std::string> CompareDataOrder(const TrainConfig& config, const CheckpointReader& reader);

/// Reads the parameters of a checkpoint into a model that is laid out.
///
/// Throws IoError naming file and tensor when one is missing, left over, or of another shape or type.
void LoadParameters(const CheckpointReader& reader, const Context& ctx, const Olmo& model);
/// The same into a run's own model, of which each of its ranks reads its part: what fails on one, all throw.
void LoadParameters(const CheckpointReader& reader, Engine& engine);

/// The same for the optimizer's state; a state of another optimizer or format is refused with what to do about it, and
/// where there is none, that is a ConfigError that says so too.
void LoadOptimizerState(const CheckpointReader& reader, const Engine& engine);

/// Takes the checkpoint's tuning if it has one and the context's device has a use for it. Returns "" or why it was not
/// taken: the run then chooses anew and may differ in the last bits. Throws IoError if the file is damaged.
std::string LoadTuning(const CheckpointReader& reader, const Context& ctx);

}  // namespace coat
