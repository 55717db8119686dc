#include "config/overrides.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "config/yaml.h"

namespace coat {

namespace {

[[noreturn]] void Fail(const std::string& argument, const std::string& what) {
  throw ConfigError(fmt::format("on the command line: {}: {}", argument, what));
}

std::string NameOf(const std::string& argument, std::size_t length) {
  std::string name = argument.substr(0, length);
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  name.erase(name.find_last_not_of('-') + 1);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

constexpr std::ptrdiff_t kMaxDots = 16;

/// `value` in mappings along the dotted `name`.
Node Nested(const std::string& name, Node value, const std::string& argument) {
  const std::size_t dot = name.find('.');
  const std::string key = name.substr(0, dot);
  if (key.empty()) Fail(argument, "an empty key; accepted: --key.path=value");
  if (key.find('[') != std::string::npos) {
    Fail(argument, "an element of a list cannot be set; accepted: the whole list, --key=[a,b]");
  }
  Node node = Node::Mapping();
  if (dot != std::string::npos) value = Nested(name.substr(dot + 1), std::move(value), argument);
  node.entries.push_back({key, std::move(value)});
  return node;
}

}  // namespace

void ApplyOverrides(std::span<const std::string> overrides, Node& root) {
  for (const std::string& argument : overrides) {
    const std::size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = NameOf(argument, equals);
    if (std::count(name.begin(), name.end(), '.') > kMaxDots) Fail(argument, "no key lies so deep");
    const bool has_value = equals < argument.size();
    Node value = has_value ? ParseYamlArgument(argument.substr(equals + 1), argument) : Node::Scalar("true", false);
    value.implied = !has_value;
    const Origin origin = root.origin;
    Merge(root, Nested(name, std::move(value), argument));
    root.origin = origin;
  }
}

}  // namespace coat
