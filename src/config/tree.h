#pragma once
// A TrainConfig as a tree of nodes: for the dump, for references to defaults, and to compare values as YAML.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/node.h"
#include "config/scalar.h"

namespace coat {

inline Node ToNode(bool value) {
  return Node::Scalar(value ? "true" : "false", false);
}
inline Node ToNode(std::int64_t value) {
  return Node::Scalar(std::to_string(value), false);
}
inline Node ToNode(double value) {
  return Node::Scalar(NumberText(value), false);
}
inline Node ToNode(const std::string& value) {
  return Node::Scalar(value, true);
}
inline Node ToNode(const Duration& value) {
  return Node::Scalar(ToText(value), false);
}
inline Node ToNode(const Node& value) {
  return value;
}

template <NamedEnumeration Enumeration>
Node ToNode(Enumeration value) {
  return Node::Scalar(std::string(NameOf(value)), false);
}

template <ConfigSection Section>
Node ToNode(const Section& section);
template <class T>
Node ToNode(const std::vector<T>& values);
template <class T>
Node ToNode(const std::map<std::string, T>& values);
template <class T>
Node ToNode(const std::optional<T>& value);

inline Node ToNode(const std::array<double, 2>& values) {
  Node node = Node::Sequence();
  for (const double value : values) node.items.push_back(ToNode(value));
  return node;
}

template <class T>
Node ToNode(const std::vector<T>& values) {
  Node node = Node::Sequence();
  for (const T& value : values) node.items.push_back(ToNode(value));
  return node;
}

template <class T>
Node ToNode(const std::map<std::string, T>& values) {
  Node node = Node::Mapping();
  for (const auto& [key, value] : values) node.entries.push_back({key, ToNode(value)});
  return node;
}

template <class T>
Node ToNode(const std::optional<T>& value) {
  return value ? ToNode(*value) : Node::Null();
}

/// Every key of the section but the computed ones.
template <ConfigSection Section>
Node ToNode(const Section& section) {
  Node node = Node::Mapping();
  ForEachField(section, [&](std::string_view key, const auto& member, const KeyDoc& doc) {
    if (doc.use != KeyUse::kComputed) node.entries.push_back({std::string(key), ToNode(member)});
  });
  return node;
}

}  // namespace coat
