#include "config/yaml_text.h"

#include <fmt/core.h>

#include <algorithm>

namespace coat {

namespace {

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '/' || c == '-' || c == '+';
}

/// A text that can stand without quotes: a name or a path that no reader takes for a number, a boolean or null.
bool IsPlainWord(const std::string& text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), IsWordCharacter)) return false;
  const char first = text.front();
  const bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_';
  const bool path = text.find('/') != std::string::npos && first != '-' && first != '+';
  if (!letter && !path) return false;
  std::string lower = text;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const char* word : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == word) return false;
  }
  return true;
}

/// `${` as text rather than as a reference: a backslash before it, and backslashes before that doubled.
std::string EscapeReferences(const std::string& text) {
  std::string escaped;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      const std::size_t last = escaped.find_last_not_of('\\');
      const std::size_t backslashes = escaped.size() - (last == std::string::npos ? 0 : last + 1);
      escaped.append(backslashes + 1, '\\');
    }
    escaped += text[i];
  }
  return escaped;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string ScalarText(const Node& node) {
  if (node.kind == Node::Kind::kNull) return "null";
  if (!node.quoted || IsPlainWord(node.text)) return node.text;
  return Quoted(EscapeReferences(node.text));
}

bool IsOnOneLine(const Node& node) {
  const auto is_short = [](const Node& item) {
    return item.kind == Node::Kind::kNull || (item.kind == Node::Kind::kScalar && item.text.size() <= 12);
  };
  switch (node.kind) {
    case Node::Kind::kNull:
    case Node::Kind::kScalar:
      return true;
    case Node::Kind::kSequence:
      return std::all_of(node.items.begin(), node.items.end(), is_short);
    case Node::Kind::kMapping:
      return node.entries.empty();
  }
  return true;
}

std::string OneLine(const Node& node) {
  if (node.kind == Node::Kind::kMapping) return "{}";
  if (node.kind != Node::Kind::kSequence) return ScalarText(node);
  std::string text = "[";
  for (const Node& item : node.items) {
    if (text.size() > 1) text += ", ";
    text += ScalarText(item);
  }
  return text + "]";
}

void Append(const Node& node, int indent, std::string& text) {
  for (const NodeEntry& entry : node.entries) {
    const std::string key = IsPlainWord(entry.key) ? entry.key : Quoted(entry.key);
    if (IsOnOneLine(entry.value)) {
      text += fmt::format("{:{}}{}: {}\n", "", indent, key, OneLine(entry.value));
    } else {
      text += fmt::format("{:{}}{}:\n", "", indent, key);
      Append(entry.value, indent + 2, text);
    }
  }
  for (const Node& item : node.items) {
    if (IsOnOneLine(item)) {
      text += fmt::format("{:{}}- {}\n", "", indent, OneLine(item));
    } else {
      std::string below;
      Append(item, indent + 2, below);
      below[static_cast<std::size_t>(indent)] = '-';
      text += below;
    }
  }
}

}  // namespace

std::string YamlText(const Node& node) {
  if (IsOnOneLine(node)) return OneLine(node) + "\n";
  std::string text;
  Append(node, 0, text);
  return text;
}

}  // namespace coat
