#include "config/dump.h"

#include <optional>
#include <vector>

#include "config/tree.h"
#include "config/yaml_text.h"

namespace coat {

namespace {

template <class T>
void RemoveIdle(const T&, Node&) {}

template <ConfigSection Section>
void RemoveIdle(const std::vector<Section>& sections, Node& node);
template <ConfigSection Section>
void RemoveIdle(const std::optional<Section>& section, Node& node);

/// Removes from `node`, the tree of `section`, the keys without effect that are as by default.
template <ConfigSection Section>
void RemoveIdle(const Section& section, Node& node) {
  const Node defaults = ToNode(Section());
  ForEachField(section, [&](std::string_view key, const auto& member, const KeyDoc& doc) {
    Node* const value = node.Find(key);
    if (value == nullptr) return;
    if (doc.use == KeyUse::kNoEffect && YamlText(*value) == YamlText(*defaults.Find(key))) {
      std::erase_if(node.entries, [&](const NodeEntry& entry) { return entry.key == key; });
    } else {
      RemoveIdle(member, *value);
    }
  });
}

template <ConfigSection Section>
void RemoveIdle(const std::vector<Section>& sections, Node& node) {
  for (std::size_t i = 0; i < sections.size(); ++i) RemoveIdle(sections[i], node.items[i]);
}

template <ConfigSection Section>
void RemoveIdle(const std::optional<Section>& section, Node& node) {
  if (section) RemoveIdle(*section, node);
}

}  // namespace

std::string Dump(const TrainConfig& config) {
  Node node = ToNode(config);
  RemoveIdle(config, node);
  return YamlText(node);
}

}  // namespace coat
