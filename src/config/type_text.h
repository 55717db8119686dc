#pragma once
// The types of keys in words: for "accepted: ..." in errors and for docs/config.md.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace coat {

/// A type to choose an overload of TypeText by.
template <class T>
struct TypeTag {};

inline std::string TypeText(TypeTag<bool>) {
  return "true or false";
}
inline std::string TypeText(TypeTag<std::int64_t>) {
  return "an integer such as 739_328";
}
inline std::string TypeText(TypeTag<double>) {
  return "a number such as 4.0e-4";
}
inline std::string TypeText(TypeTag<std::string>) {
  return "a text";
}
inline std::string TypeText(TypeTag<Duration>) {
  return "steps (739_328), tokens (2e12T) or epochs (1ep)";
}
inline std::string TypeText(TypeTag<Node>) {
  return "anything";
}
inline std::string TypeText(TypeTag<std::array<double, 2>>) {
  return "a list of two numbers";
}
inline std::string TypeText(TypeTag<std::vector<std::string>>) {
  return "a list of texts";
}
inline std::string TypeText(TypeTag<std::vector<std::int64_t>>) {
  return "a list of integers";
}
inline std::string TypeText(TypeTag<std::map<std::string, std::vector<std::string>>>) {
  return "a mapping of labels to lists of texts";
}

template <ConfigSection Section>
std::string TypeText(TypeTag<Section>) {
  return "a mapping of keys";
}

template <ConfigSection Section>
std::string TypeText(TypeTag<std::vector<Section>>) {
  return "a list of mappings";
}

template <NamedEnumeration Enumeration>
std::string TypeText(TypeTag<Enumeration>) {
  std::string text;
  for (const auto& named : NamesOf(Enumeration{})) {
    if (!text.empty()) text += ", ";
    text += named.name;
  }
  return text;
}

template <NamedEnumeration Enumeration>
std::string TypeText(TypeTag<std::vector<Enumeration>>) {
  return "a list of " + TypeText(TypeTag<Enumeration>{});
}

template <class T>
std::string TypeText(TypeTag<std::optional<T>>) {
  return TypeText(TypeTag<T>{}) + (NamedEnumeration<T> ? ", null" : ", or null");
}

}  // namespace coat
