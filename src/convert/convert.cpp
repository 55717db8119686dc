#include "convert/convert.h"

#include <fmt/format.h>

#include "base/error.h"
#include "checkpoint/directory.h"
#include "checkpoint/file_names.h"
#include "convert/hf_files.h"
#include "convert/native_files.h"

namespace coat {

namespace {

bool Has(const std::string& folder, std::string_view name) {
  return KindOf(fmt::format("{}/{}", folder, name)) != PathKind::kMissing;
}

/// What may be meant by a folder that is no model: "; did you mean ...?", or nothing.
std::string Advice(const std::string& folder) {
  for (const CheckpointKind kind : {CheckpointKind::kSharded, CheckpointKind::kUnsharded}) {
    const std::string latest = fmt::format("{}/{}", folder, LatestLinkName(kind));
    if (IsWholeCheckpoint(latest) || Has(latest, kNativeModelFile)) return fmt::format("; did you mean {}?", latest);
  }
  for (const char* const part : {"rank0.pt", "model_and_optim", "model/rank0.pt"}) {
    if (!Has(folder, part)) continue;
    return fmt::format(
        "; with {} it is a sharded checkpoint of OLMo, which OLMo's scripts/unshard.py makes one of the "
        "accepted kind of",
        part);
  }
  return "";
}

}  // namespace

ModelKind KindOfModel(const std::string& folder) {
  if (IsWholeCheckpoint(folder)) return ModelKind::kCheckpoint;
  if (Has(folder, kHfConfigFile)) return ModelKind::kHuggingFace;
  if (Has(folder, kNativeConfigFile) && (Has(folder, kNativeModelFile) || Has(folder, kNativeSafetensorsFile))) {
    return ModelKind::kOlmo;
  }
  if (KindOf(folder) == PathKind::kMissing) throw IoError(fmt::format("{}: no such file or directory", folder));
  throw IoError(
      fmt::format("{} is no model; accepted: a checkpoint (a folder with {} and {}), a Hugging Face directory "
                  "(with {}) or an unsharded checkpoint of OLMo (with {} and {} or {}){}",
                  folder, kTrainerStateFile, kConfigFile, kHfConfigFile, kNativeConfigFile, kNativeModelFile,
                  kNativeSafetensorsFile, Advice(folder)));
}

Model OpenModel(const std::string& folder, bool weights_only) {
  switch (KindOfModel(folder)) {
    case ModelKind::kCheckpoint:
      return OpenCheckpoint(folder);
    case ModelKind::kHuggingFace:
      return OpenHf(folder);
    case ModelKind::kOlmo:
      break;
  }
  return OpenOlmo(folder, weights_only);
}

ConversionResult WriteModel(const Model& model, ModelKind kind, const std::string& to, const WriteOptions& options) {
  switch (kind) {
    case ModelKind::kCheckpoint:
      return WriteCheckpoint(model, to, options);
    case ModelKind::kHuggingFace:
      return WriteHf(model, to, options);
    case ModelKind::kOlmo:
      break;
  }
  return WriteOlmo(model, to, options);
}

}  // namespace coat
