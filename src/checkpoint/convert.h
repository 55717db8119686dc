#pragma once
// Models between our checkpoints and Hugging Face directories of OlmoForCausalLM.
//
// Sources are mapped and tensors carried over in pieces, so that no model is in memory. The result appears under its
// name when it is complete (output_folder.h).

#include <cstdint>
#include <string>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/float_type.h"

namespace coat {

/// What a folder is to a conversion.
enum class ModelKind { kCheckpoint, kHuggingFace };

/// By its files: train.json and config.yaml, or config.json. Throws IoError for a folder that is neither.
ModelKind KindOfModel(const std::string& folder);

/// What was written.
struct ConversionResult {
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;
  std::int64_t files = 0;  // of weights
};

struct ExportOptions {
  FloatType type = FloatType::kFloat32;
  std::int64_t shard_bytes = 5'000'000'000;  // the most bytes of tensors in a file, unless one alone has more
  IfExists if_exists = IfExists::kRefuse;
};

/// Writes the parameters of the checkpoint `from` as the Hugging Face directory `to`: config.json,
/// generation_config.json, and model.safetensors or shards with their index. The same input gives the same bytes.
///
/// Throws ConfigError for a model that OlmoForCausalLM cannot express; IoError for damaged files, for tensors that are
/// missing, left over, or of another shape or type than the checkpoint's configuration says, and for a finite value
/// that `type` would make infinite.
ConversionResult ExportToHf(const std::string& from, const std::string& to, const ExportOptions& options);

/// Writes the Hugging Face directory `from` as the checkpoint `to`, with float32 parameters, at step 0, without an
/// optimizer's state; its config.yaml has the architecture, and defaults for all else.
///
/// A tied model may have a head that equals its embedding; buffers of rotary frequencies are passed over. Throws
/// ConfigError as ReadHfConfig does; IoError for damaged files and for tensors that are missing, left over, or of
/// another shape or type than config.json says.
ConversionResult ImportFromHf(const std::string& from, const std::string& to, IfExists if_exists);

}  // namespace coat
