#pragma once

#include <span>
#include <vector>

#include "config/optimizer_config.h"
#include "nn/parameter.h"

namespace coat {

/// Which group each parameter is in: 0 with weight decay, 1 without. Linear weights decay; embeddings do with
/// decay_embeddings, norm weights with decay_norm_and_bias. (A tied head is the embedding.) Source: OLMo's
/// get_param_groups.
std::vector<int> ParameterGroups(const OptimizerConfig& config, std::span<const Parameter> parameters);

}  // namespace coat
