#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/node.h"

namespace coat {

/// A key that has not the same value in all configurations.
struct ConfigDifference {
  std::string key;                                 // its path: optimizer.learning_rate, evaluators[0].label
  std::vector<std::optional<std::string>> values;  // one of each configuration; nothing where it has no such key
};

/// The keys in which configurations differ, in the order of the first one, then of the next, and so on. Values are
/// compared as they are written; a list of scalars is one value.
std::vector<ConfigDifference> ConfigDifferences(std::span<const Node> configs);

}  // namespace coat
