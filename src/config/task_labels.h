#pragma once
// The tasks that OLMo evaluates in its training loop.

#include <optional>
#include <string_view>

#include "config/enumerations.h"

namespace coat {

/// The metric that OLMo computes for the task of this label ("piqa", "mmlu_stem_var", "arc_easy_val_rc_5shot_bpb");
/// nothing for a label that it does not have. A label that ends in _bpb is that of bits per byte.
/// Source: OLMo's label_to_task_map.
std::optional<TaskMetric> OlmoMetricOf(std::string_view label);

}  // namespace coat
