#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "config/node.h"
#include "report/series.h"

namespace coat {

/// What a save folder says of its run.
struct RunRecord {
  std::string folder;
  std::string config_text;               // of config.yaml
  Node config;                           // the same, parsed
  std::int64_t last_step = 0;            // that has a line in metrics.jsonl; 0 if there is none yet
  std::map<std::string, Series> series;  // by metric

  /// The key run_name, or the folder where there is none.
  std::string Name() const;
};

/// Reads config.yaml and metrics.jsonl of a save folder, also while its run goes on: a last line without an end is
/// still being written, and left out.
///
/// Throws IoError where the folder is no such folder, and for a line that is no line of metrics, with file and line;
/// ConfigError for a configuration that is no YAML.
RunRecord ReadRun(const std::string& folder);

}  // namespace coat
