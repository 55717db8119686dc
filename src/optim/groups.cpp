#include "optim/groups.h"

namespace coat {

namespace {

bool Decays(const OptimizerConfig& config, ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kLinearWeight:
    case ParameterKind::kHeadWeight:
      return true;
    case ParameterKind::kEmbedding:
      return config.decay_embeddings;
    case ParameterKind::kNormWeight:
      return config.decay_norm_and_bias;
  }
  return true;
}

}  // namespace

std::vector<int> ParameterGroups(const OptimizerConfig& config, std::span<const Parameter> parameters) {
  std::vector<int> groups;
  for (const Parameter& parameter : parameters) groups.push_back(Decays(config, parameter.kind) ? 0 : 1);
  return groups;
}

}  // namespace coat
