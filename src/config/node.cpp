#include "config/node.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace coat {

Node Node::Of(Kind kind, Origin origin) {
  Node node;
  node.kind = kind;
  node.origin = std::move(origin);
  return node;
}

Node Node::Scalar(std::string text, bool quoted, Origin origin) {
  Node node = Of(Kind::kScalar, std::move(origin));
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

Node Node::Null(Origin origin) {
  return Of(Kind::kNull, std::move(origin));
}

Node Node::Sequence(Origin origin) {
  return Of(Kind::kSequence, std::move(origin));
}

Node Node::Mapping(Origin origin) {
  return Of(Kind::kMapping, std::move(origin));
}

const Node* Node::Find(std::string_view key) const {
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const NodeEntry& e) { return e.key == key; });
  return entry == entries.end() ? nullptr : &entry->value;
}

Node* Node::Find(std::string_view key) {
  return const_cast<Node*>(std::as_const(*this).Find(key));
}

void Merge(Node& base, Node over) {
  if (base.kind != Node::Kind::kMapping || over.kind != Node::Kind::kMapping) {
    base = std::move(over);
    return;
  }
  base.origin = over.origin;
  for (NodeEntry& entry : over.entries) {
    if (Node* const existing = base.Find(entry.key)) {
      Merge(*existing, std::move(entry.value));
    } else {
      base.entries.push_back(std::move(entry));
    }
  }
}

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kScalar:
      return fmt::format("`{}`", node.text);
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  return "?";
}

std::string Below(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string Below(const std::string& path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

}  // namespace coat
