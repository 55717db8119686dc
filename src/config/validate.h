#pragma once
// Whether this build can honor a configuration, and whether the configuration makes sense.

#include <string>
#include <vector>

#include "config/config.h"

namespace coat {

struct ValidateOptions {
  /// Whether data.paths or data.datasets must be given. Off for tools that read no data, such as a memory plan.
  bool needs_data = true;
  /// Whether the evaluators must say where their data are, even if the training's need not be given.
  bool needs_evaluation_data = needs_data;
  /// Ranks of the run.
  int ranks = 1;
};

/// What Validate has to say about a configuration that can run.
struct ValidationReport {
  /// Things that look wrong but are not refused, each with file, line and key path.
  std::vector<std::string> warnings;
  /// Keys that are set and have no effect here, each once and with the reason: "compile: torch.compile".
  std::vector<std::string> without_effect;
};

/// Throws ConfigError, naming file, line and key path and what is accepted, if a value cannot be honored by this build
/// or contradicts another. Opens no file.
ValidationReport Validate(const TrainConfig& config, const ValidateOptions& options = {});

}  // namespace coat
