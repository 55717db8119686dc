#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/node.h"

namespace coat {

/// The values of a tree by key path, in its order: {"evaluators[0].label", "held-out"}. A list of scalars is one value;
/// null is "null".
std::vector<std::pair<std::string, std::string>> ValuesOf(const Node& node);

}  // namespace coat
