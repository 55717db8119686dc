#pragma once
// Nodes to YAML text.

#include <string>

#include "config/node.h"

namespace coat {

/// `node` as a YAML document that loads to the same tree: a text with `${` is escaped, and whatever a YAML reader could
/// take for something else is quoted. Lists of scalars are written on one line.
std::string YamlText(const Node& node);

}  // namespace coat
