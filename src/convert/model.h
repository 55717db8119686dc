#pragma once
// A model on its way from one format to another.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "convert/float_type.h"
#include "convert/hf_settings.h"

namespace coat {

/// Values of one type that lie somewhere in a mapped file.
struct TensorPiece {
  FloatType type = FloatType::kFloat32;
  std::int64_t elements = 0;
  std::string place;                                  // "FILE: tensor X", for messages
  std::function<std::span<const std::byte>()> bytes;  // asks for them when called; valid while the model lives
};

/// One of our tensors, row-major: its pieces follow each other.
struct ModelTensor {
  std::string name;  // "transformer.blocks.0.att_proj.weight"
  std::vector<std::int64_t> shape;
  std::vector<TensorPiece> pieces;

  std::int64_t elements() const;
};

/// Where an optimizer stood.
struct OptimizerState {
  std::vector<ModelTensor> moments;   // float32: "{parameter}.exp_avg" and, of AdamW, "{parameter}.exp_avg_sq"
  std::vector<float> gradient_norms;  // grad_norm_exp_avg of each parameter; 0: no average yet
  std::int64_t updates = 0;           // done since the moments began
  std::shared_ptr<const void> files;  // keeps the pieces' bytes
};

/// A model in any of the formats, opened and checked: its tensors are exactly those of its configuration.
struct Model {
  TrainConfig config;                       // the architecture and, where the source has them, the settings of its run
  std::string config_path;                  // the file that it is from
  std::vector<ModelTensor> tensors;         // in the order of OlmoParameters
  std::optional<OptimizerState> optimizer;  // of sources that a checkpoint can take it from
  std::optional<TrainerState> trainer;      // the same
  std::vector<std::string> training_files;  // where the source has what optimizer and trainer are, taken or not
  std::optional<HfSettings> hf;             // of a Hugging Face directory
  std::shared_ptr<const void> files;        // keeps the pieces' bytes
};

/// The names and shapes of a configuration's parameters, without pieces.
std::vector<ModelTensor> TensorsOf(const ModelConfig& config);

/// The checkpoint in `folder`, written by a run or by a conversion. Throws IoError for damaged files and for tensors
/// that are missing, left over, or of another shape or type than its configuration says; ConfigError for one that this
/// build cannot honor.
Model OpenCheckpoint(const std::string& folder);

/// The Hugging Face directory `folder`. A tied model may have a head that equals its embedding; buffers of rotary
/// frequencies are passed over. Throws ConfigError as ReadHfConfig does and for a model that this build has not;
/// IoError for damaged files and for tensors that are missing, left over, or of another shape or type than config.json
/// says.
Model OpenHf(const std::string& folder);

/// The unsharded checkpoint of OLMo, or of COAT's fork of it, in `folder`: config.yaml with model.safetensors or
/// model.pt, and unless `weights_only`, what is there of the optimizer and the trainer (olmo_training.h).
/// Throws ConfigError for a model that this build has not; IoError for damaged files and for tensors that are missing,
/// left over, or of another shape or type than config.yaml says.
Model OpenOlmo(const std::string& folder, bool weights_only = false);

}  // namespace coat
