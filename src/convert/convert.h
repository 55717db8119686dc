#pragma once
// Models between our checkpoints and the formats of others.
//
// Sources are mapped and tensors carried over in pieces, so that no model is in memory.

#include <string>

#include "convert/model.h"
#include "convert/write_model.h"

namespace coat {

/// What a folder is to a conversion.
enum class ModelKind { kCheckpoint, kHuggingFace, kOlmo };

/// By its files: train.json and config.yaml; or config.json; or config.yaml with model.pt or model.safetensors, which
/// is an unsharded checkpoint of OLMo. Throws IoError for any other, with what to do about a sharded one of OLMo.
ModelKind KindOfModel(const std::string& folder);

/// Opens a model of any kind. `weights_only` is for OpenOlmo.
Model OpenModel(const std::string& folder, bool weights_only = false);

/// Writes a model as one of a kind.
ConversionResult WriteModel(const Model& model, ModelKind kind, const std::string& to, const WriteOptions& options);

}  // namespace coat
