#pragma once
// A model to a folder in one of the formats. The folder appears under its name when it is complete (output_folder.h),
// and the same model and options give the same bytes.

#include <cstdint>
#include <functional>
#include <string>

#include "checkpoint/checkpoint_writer.h"
#include "convert/float_type.h"
#include "convert/model.h"
#include "convert/native_names.h"

namespace coat {

/// What was written.
struct ConversionResult {
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;
  std::int64_t files = 0;  // of weights
};

struct WriteOptions {
  FloatType type = FloatType::kFloat32;
  std::int64_t shard_bytes = 5'000'000'000;  // the most bytes of tensors in a file, unless one alone has more
  IfExists if_exists = IfExists::kRefuse;
  NativeNames names = NativeNames::kOlmo;  // of OLMo's own format
  /// Called now and then with the values that were written, of so many. What it throws ends the conversion, with
  /// nothing left of it.
  std::function<void(std::int64_t done, std::int64_t total)> progress = [](std::int64_t, std::int64_t) {};
};

/// The Hugging Face directory `to`: config.json, generation_config.json, and model.safetensors or shards with their
/// index. Throws ConfigError for a model that neither OlmoForCausalLM nor Olmo2ForCausalLM can express; IoError for a
/// finite value that the type would make infinite.
ConversionResult WriteHf(const Model& model, const std::string& to, const WriteOptions& options);

/// The checkpoint `to`, with float32 parameters, the optimizer's state and the place in the data if the model has them,
/// else at step 0; its config.yaml has the architecture and, where the source had them, the settings of its run. `type`
/// must be float32; `shard_bytes` is not looked at.
ConversionResult WriteCheckpoint(const Model& model, const std::string& to, const WriteOptions& options);

/// The unsharded checkpoint `to` of OLMo, or of COAT's fork of it by `names`: model.pt and a config.yaml that has the
/// model, its seed and its precision. `shard_bytes` is not looked at. Throws IoError for a finite value that the type
/// would make infinite.
ConversionResult WriteOlmo(const Model& model, const std::string& to, const WriteOptions& options);

}  // namespace coat
