#pragma once
// From a YAML file and the command line to a TrainConfig.

#include <span>
#include <string>

#include "config/config.h"

namespace coat {

struct LoadOptions {
  /// Ranks of the run, for the keys that are computed from it.
  int world_size = 1;
  /// Whether path.glob, path.choose and path.last_checkpoint may fail. Off for tools that need no data, such as a
  /// memory plan: then they give an empty list, the first path and the folder.
  bool check_paths = true;
};

/// The configuration of the YAML file `path` with `overrides` ("--optimizer.learning_rate=1e-4", "save_overwrite") on
/// top: OLMo's defaults, then the file, then the overrides in order; mappings merge by key, lists are replaced. Then
/// `${...}` is resolved, old keys are rewritten and the computed keys are filled in.
///
/// Checks that every key exists and has a value of its type, not whether this build can honor it: see Validate.
/// Throws ConfigError with file, line and key path; for a file that cannot be read with the reason.
TrainConfig LoadTrainConfig(const std::string& path, std::span<const std::string> overrides = {},
                            const LoadOptions& options = {});

/// The same for the text of a file; `name` stands for the file in messages.
TrainConfig ParseTrainConfig(const std::string& text, const std::string& name,
                             std::span<const std::string> overrides = {}, const LoadOptions& options = {});

}  // namespace coat
