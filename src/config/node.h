#pragma once
// The tree that a YAML text becomes: what the rest of this layer sees of YAML.

#include <string>
#include <string_view>
#include <vector>

#include "config/sources.h"

namespace coat {

struct NodeEntry;

/// A value of a YAML document with the place where it stands.
struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  std::string text;                // of a scalar, without quotes
  bool quoted = false;             // a scalar in quotes: never null
  bool implied = false;            // `true` of a key of the command line without a value
  std::vector<Node> items;         // of a sequence
  std::vector<NodeEntry> entries;  // of a mapping, in the order of the file; no key twice
  Origin origin;

  static Node Of(Kind kind, Origin origin = {});
  static Node Null(Origin origin = {});
  static Node Scalar(std::string text, bool quoted, Origin origin = {});
  static Node Sequence(Origin origin = {});
  static Node Mapping(Origin origin = {});

  /// The value of `key` in a mapping, or null.
  const Node* Find(std::string_view key) const;
  Node* Find(std::string_view key);
};

struct NodeEntry {
  std::string key;
  Node value;
};

/// Puts `over` on `base`: mappings merge by key, anything else is replaced.
void Merge(Node& base, Node over);

/// What `node` is, for messages: "`twelve`", "null", "a list", "a mapping".
std::string Describe(const Node& node);

/// The key path of `key` in the mapping at `path`, and of item `index` in the sequence at `path`.
std::string Below(const std::string& path, std::string_view key);
std::string Below(const std::string& path, std::size_t index);

}  // namespace coat
