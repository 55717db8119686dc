#include "convert/convert.h"

#include <fmt/format.h>

#include "base/error.h"
#include "checkpoint/directory.h"
#include "checkpoint/file_names.h"
#include "convert/hf_files.h"

namespace coat {

ModelKind KindOfModel(const std::string& folder) {
  if (IsWholeCheckpoint(folder)) return ModelKind::kCheckpoint;
  if (KindOf(fmt::format("{}/{}", folder, kHfConfigFile)) != PathKind::kMissing) return ModelKind::kHuggingFace;
  const std::string latest = fmt::format("{}/{}", folder, LatestLinkName(CheckpointKind::kSharded));
  throw IoError(
      fmt::format("{} is no model; accepted: a checkpoint (a folder with {} and {}) or a Hugging Face "
                  "directory (with {}){}",
                  folder, kTrainerStateFile, kConfigFile, kHfConfigFile,
                  IsWholeCheckpoint(latest) ? fmt::format("; did you mean {}?", latest) : ""));
}

Model OpenModel(const std::string& folder) {
  return KindOfModel(folder) == ModelKind::kCheckpoint ? OpenCheckpoint(folder) : OpenHf(folder);
}

ConversionResult WriteModel(const Model& model, ModelKind kind, const std::string& to, const WriteOptions& options) {
  return kind == ModelKind::kCheckpoint ? WriteCheckpoint(model, to, options) : WriteHf(model, to, options);
}

}  // namespace coat
