#include "config/reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/nearest.h"
#include "config/scalar.h"
#include "config/type_text.h"

namespace coat {

namespace {

bool IsNull(const Node& node) {
  return node.kind == Node::Kind::kNull || (node.kind == Node::Kind::kScalar && !node.quoted && IsNullText(node.text));
}

/// Where a value goes.
struct Place {
  std::string path;
  bool nullable = false;  // null is accepted as well, and has been dealt with
};

/// The error that `found` stands where a T should.
template <class T>
[[noreturn]] void FailType(const Node& node, const Place& place, const std::string& found) {
  const std::string accepted = place.nullable ? TypeText(TypeTag<std::optional<T>>{}) : TypeText(TypeTag<T>{});
  throw ConfigError(fmt::format("{}: found {}; accepted: {}", Where(node.origin, place.path), found, accepted));
}

template <class T>
[[noreturn]] void FailType(const Node& node, const Place& place) {
  FailType<T>(node, place, Describe(node));
}

/// The value of a scalar by `parse`, or the error about its type.
template <class T, class Parse>
T Parsed(const Node& node, const Place& place, Parse&& parse) {
  if (node.kind != Node::Kind::kScalar || IsNull(node)) FailType<T>(node, place);
  const std::optional<T> value = parse(node.text);
  if (!value) FailType<T>(node, place);
  return *value;
}

void Read(const Node& node, const Place& place, bool& out) {
  out = Parsed<bool>(node, place, ParseBool);
}
void Read(const Node& node, const Place& place, std::int64_t& out) {
  out = Parsed<std::int64_t>(node, place, ParseInteger);
}
void Read(const Node& node, const Place& place, double& out) {
  out = Parsed<double>(node, place, ParseNumber);
}
void Read(const Node& node, const Place& place, Duration& out) {
  out = Parsed<Duration>(node, place, ParseDuration);
}

void Read(const Node& node, const Place& place, std::string& out) {
  if (node.implied) FailType<std::string>(node, place, "no value");
  if (node.kind != Node::Kind::kScalar || IsNull(node)) FailType<std::string>(node, place);
  out = node.text;
}

void Read(const Node& node, const Place&, Node& out) {
  out = node;
}

template <NamedEnumeration Enumeration>
void Read(const Node& node, const Place& place, Enumeration& out) {
  std::string text = node.text;
  if (IsNull(node)) {
    text = "null";
  } else if (node.kind != Node::Kind::kScalar) {
    FailType<Enumeration>(node, place);
  } else if (const std::optional<bool> boolean = ParseBool(text)) {
    text = *boolean ? "true" : "false";
  }
  for (const auto& [value, name] : NamesOf(Enumeration{})) {
    if (name == text) {
      out = value;
      return;
    }
  }
  FailType<Enumeration>(node, place);
}

void Read(const Node& node, const Place& place, std::array<double, 2>& out) {
  if (node.kind != Node::Kind::kSequence || node.items.size() != out.size()) {
    if (node.kind != Node::Kind::kSequence) FailType<std::array<double, 2>>(node, place);
    FailType<std::array<double, 2>>(node, place, fmt::format("a list of {}", node.items.size()));
  }
  for (std::size_t i = 0; i < out.size(); ++i) Read(node.items[i], {Below(place.path, i)}, out[i]);
}

template <ConfigSection Section>
void Read(const Node& node, const Place& place, Section& out);

template <class T>
void Read(const Node& node, const Place& place, std::vector<T>& out) {
  if (node.kind != Node::Kind::kSequence) FailType<std::vector<T>>(node, place);
  out.clear();
  for (std::size_t i = 0; i < node.items.size(); ++i) Read(node.items[i], {Below(place.path, i)}, out.emplace_back());
}

template <class T>
void Read(const Node& node, const Place& place, std::map<std::string, T>& out) {
  if (node.kind != Node::Kind::kMapping) FailType<std::map<std::string, T>>(node, place);
  out.clear();
  for (const NodeEntry& entry : node.entries) Read(entry.value, {Below(place.path, entry.key)}, out[entry.key]);
}

template <class T>
void Read(const Node& node, const Place& place, std::optional<T>& out) {
  if (IsNull(node)) {
    out.reset();
    return;
  }
  Read(node, {place.path, true}, out.emplace());
}

/// Starts from what `out` holds: its defaults.
template <ConfigSection Section>
void Read(const Node& node, const Place& place, Section& out) {
  if (node.kind != Node::Kind::kMapping) FailType<Section>(node, place);
  std::vector<std::string> keys;
  ForEachField(out, [&](std::string_view key, auto& member, const KeyDoc&) {
    keys.emplace_back(key);
    if (const Node* const value = node.Find(key)) Read(*value, {Below(place.path, key)}, member);
  });
  for (const NodeEntry& entry : node.entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
    throw ConfigError(fmt::format("{}: no such key; {}", Where(entry.value.origin, Below(place.path, entry.key)),
                                  DidYouMean(entry.key, keys)));
  }
}

/// Notes where every key below `path` was set.
void NoteSources(const Node& node, const std::string& path, Sources& sources) {
  if (!path.empty()) sources.Set(path, node.origin);
  for (const NodeEntry& entry : node.entries) NoteSources(entry.value, Below(path, entry.key), sources);
  for (std::size_t i = 0; i < node.items.size(); ++i) NoteSources(node.items[i], Below(path, i), sources);
}

}  // namespace

TrainConfig ReadTrainConfig(const Node& root) {
  TrainConfig config;
  Read(root, {}, config);
  NoteSources(root, "", config.sources);
  return config;
}

}  // namespace coat
