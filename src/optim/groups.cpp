#include "optim/groups.h"

namespace coat {

std::vector<int> ParameterGroups(const OptimizerConfig& config, std::span<const Parameter> parameters) {
  std::vector<int> groups;
  for (const Parameter& parameter : parameters) {
    const bool decays = parameter.kind == ParameterKind::kLinearWeight || config.decay_embeddings;
    groups.push_back(decays ? 0 : 1);
  }
  return groups;
}

}  // namespace coat
