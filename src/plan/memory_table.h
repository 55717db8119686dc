#pragma once
// What `coat plan` says of memory.

#include <string>

#include "config/config.h"

namespace coat {

/// The plan of this configuration beside those of BF16 with AdamW and, for OLMo 1 on one rank, of COAT as published, as
/// a table to print. Of `ranks` ranks it is the first one's, which has the largest parts. Throws ConfigError if the
/// ranks cannot share the model as the configuration says.
std::string PlanTable(const TrainConfig& config, int ranks = 1);
/// The same as one line of JSON: {"plans": [{"recipe": ..., "categories": {...}, "saved": {...}, "total": ...}, ...]}.
/// With several ranks {"ranks": ..., "strategy": ..., "plans": ...}.
std::string PlanJson(const TrainConfig& config, int ranks = 1);

}  // namespace coat
