#pragma once
// One list of keys per section: what the reader, the unknown-key errors, the dump and docs/config.md are made from.

#include <string_view>
#include <type_traits>
#include <utility>

namespace coat {

/// What this build does with a key.
enum class KeyUse {
  kHonored,   // read and obeyed, every value of its type that passes the cross checks
  kOnly,      // only the values in KeyDoc::accepted can be honored; any other is an error
  kNoEffect,  // accepted whatever it says: it cannot change a number; reported once when set
  kComputed,  // filled in by the program; a value in the file is overwritten, and reported
};

/// What stands beside a field: its class, one line of help and, for kOnly, the accepted values as YAML, ", " between.
struct KeyDoc {
  KeyUse use = KeyUse::kHonored;
  std::string_view help;
  std::string_view accepted;
};

constexpr KeyDoc Honored(std::string_view help) {
  return {KeyUse::kHonored, help, {}};
}
constexpr KeyDoc Only(std::string_view accepted, std::string_view help) {
  return {KeyUse::kOnly, help, accepted};
}
constexpr KeyDoc NoEffect(std::string_view help) {
  return {KeyUse::kNoEffect, help, {}};
}
constexpr KeyDoc Computed(std::string_view help) {
  return {KeyUse::kComputed, help, {}};
}

/// Calls visit(key, member, doc) for each key of `section`, in OLMo's order. `section` may be const.
template <class Section, class Visitor>
void ForEachField(Section& section, Visitor&& visit) {
  std::remove_const_t<Section>::Fields(section, std::forward<Visitor>(visit));
}

/// A struct with a list of keys, that is: a mapping in the YAML.
template <class T>
concept ConfigSection = requires(T& section) {
  T::Fields(section, [](std::string_view, auto&, const KeyDoc&) {});
};

}  // namespace coat
