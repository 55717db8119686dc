// The checks that stand beside the keys themselves: accepted values, and keys without effect.

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "config/checker.h"
#include "config/tree.h"

namespace coat {

namespace {

/// Whether `value` is one of "a, b, c".
bool IsAmong(std::string_view value, std::string_view accepted) {
  while (true) {
    const std::size_t comma = accepted.find(", ");
    if (accepted.substr(0, comma) == value) return true;
    if (comma == std::string_view::npos) return false;
    accepted.remove_prefix(comma + 2);
  }
}

/// "evaluators[3].data.timeout" as "data.timeout", so that it is reported once.
std::string WithoutEvaluator(const std::string& path) {
  const std::size_t end = path.find("].");
  return path.rfind("evaluators[", 0) == 0 && end != std::string::npos ? path.substr(end + 2) : path;
}

class KeyChecker {
 public:
  KeyChecker(ConfigChecker& checker, ValidationReport& report) : checker_(checker), report_(report) {}

  template <ConfigSection Section>
  void CheckSection(const Section& section, const std::string& path) {
    ForEachField(section, [&](std::string_view key, const auto& member, const KeyDoc& doc) {
      const std::string key_path = Below(path, key);
      if (doc.use == KeyUse::kOnly) RequireAccepted(ToNode(member), key_path, doc);
      if (doc.use == KeyUse::kNoEffect || doc.use == KeyUse::kComputed) {
        NoteIfSet(ToNode(member), key_path, doc);
      } else {
        Descend(member, key_path);
      }
    });
  }

 private:
  template <class T>
  void Descend(const T&, const std::string&) {}
  template <ConfigSection Section>
  void Descend(const Section& section, const std::string& path) {
    CheckSection(section, path);
  }
  template <ConfigSection Section>
  void Descend(const std::vector<Section>& sections, const std::string& path) {
    for (std::size_t i = 0; i < sections.size(); ++i) CheckSection(sections[i], Below(path, i));
  }
  template <ConfigSection Section>
  void Descend(const std::optional<Section>& section, const std::string& path) {
    if (section) CheckSection(*section, path);
  }

  void RequireAccepted(const Node& value, const std::string& path, const KeyDoc& doc) const {
    const std::string text = value.kind == Node::Kind::kScalar ? value.text : Describe(value);
    if (IsAmong(text, doc.accepted)) return;
    checker_.Fail(path, fmt::format("{}{} cannot be honored by this build; accepted: {} ({})",
                                    checker_.IsSet(path) ? "" : "the default ", text, doc.accepted, doc.help));
  }

  void NoteIfSet(const Node& value, const std::string& path, const KeyDoc& doc) {
    if (!checker_.IsSet(path) || value.kind == Node::Kind::kNull) return;
    const std::string_view computed = doc.use == KeyUse::kComputed ? "computed: " : "";
    std::string note = fmt::format("{}: {}{}", WithoutEvaluator(path), computed, doc.help);
    std::vector<std::string>& notes = report_.without_effect;
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
  }

  ConfigChecker& checker_;
  ValidationReport& report_;
};

}  // namespace

void CheckKeys(const TrainConfig& config, ConfigChecker& checker, ValidationReport& report) {
  KeyChecker(checker, report).CheckSection(config, "");
}

}  // namespace coat
