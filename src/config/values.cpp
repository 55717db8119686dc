#include "config/values.h"

#include <algorithm>

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

void AddValues(const Node& node, const std::string& path, std::vector<std::pair<std::string, std::string>>& values) {
  if (node.kind == Node::Kind::kMapping && !node.entries.empty()) {
    for (const NodeEntry& entry : node.entries) AddValues(entry.value, Below(path, entry.key), values);
  } else if (node.kind == Node::Kind::kSequence && !std::all_of(node.items.begin(), node.items.end(), IsValue)) {
    for (std::size_t i = 0; i < node.items.size(); ++i) AddValues(node.items[i], Below(path, i), values);
  } else {
    values.emplace_back(path, ValueText(node));
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ValuesOf(const Node& node) {
  std::vector<std::pair<std::string, std::string>> values;
  AddValues(node, "", values);
  return values;
}

}  // namespace coat
