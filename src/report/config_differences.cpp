#include "report/config_differences.h"

#include <algorithm>
#include <map>

namespace coat {

namespace {

bool IsValue(const Node& node) {
  return node.kind == Node::Kind::kNull || node.kind == Node::Kind::kScalar;
}

std::string ValueText(const Node& node) {
  if (node.kind == Node::Kind::kNull) return "null";
  if (node.kind == Node::Kind::kScalar) return node.text;
  if (node.kind == Node::Kind::kMapping) return "{}";
  std::string text;
  for (const Node& item : node.items) text += (text.empty() ? "" : ", ") + ValueText(item);
  return "[" + text + "]";
}

/// Calls visit(path, text) for every value below `node`.
template <class Visitor>
void ForEachValue(const Node& node, const std::string& path, const Visitor& visit) {
  if (node.kind == Node::Kind::kMapping && !node.entries.empty()) {
    for (const NodeEntry& entry : node.entries) ForEachValue(entry.value, Below(path, entry.key), visit);
  } else if (node.kind == Node::Kind::kSequence && !std::all_of(node.items.begin(), node.items.end(), IsValue)) {
    for (std::size_t i = 0; i < node.items.size(); ++i) ForEachValue(node.items[i], Below(path, i), visit);
  } else {
    visit(path, ValueText(node));
  }
}

}  // namespace

std::vector<ConfigDifference> ConfigDifferences(std::span<const Node> configs) {
  std::vector<ConfigDifference> keys;
  std::map<std::string, std::size_t> places;
  for (std::size_t c = 0; c < configs.size(); ++c) {
    ForEachValue(configs[c], "", [&](const std::string& path, std::string text) {
      const auto [place, is_new] = places.try_emplace(path, keys.size());
      if (is_new) keys.push_back({path, std::vector<std::optional<std::string>>(configs.size())});
      keys[place->second].values[c] = std::move(text);
    });
  }
  std::erase_if(keys, [](const ConfigDifference& key) {
    return std::all_of(key.values.begin(), key.values.end(), [&](const auto& value) { return value == key.values[0]; });
  });
  return keys;
}

}  // namespace coat
