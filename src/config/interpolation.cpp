#include "config/interpolation.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/nearest.h"
#include "config/resolvers.h"
#include "config/scalar.h"
#include "config/text.h"

namespace coat {

namespace {

constexpr int kMaxValues = 1'000'000;
constexpr std::size_t kMaxText = 1 << 20;
constexpr std::size_t kMaxChain = 100;

/// "a.b[0].c" as a, b, 0, c.
std::vector<std::string> Segments(const std::string& path) {
  std::vector<std::string> segments(1);
  for (const char c : path) {
    if (c == '.' || c == '[') {
      segments.emplace_back();
    } else if (c != ']') {
      segments.back() += c;
    }
  }
  return segments;
}

/// Gives what a resolver or a default put below `value`, which is on no line, the line of `value`.
void PlaceItems(Node& value) {
  const auto place = [&](Node& below) {
    if (below.origin.file.empty()) below.origin = value.origin;
    PlaceItems(below);
  };
  for (Node& item : value.items) place(item);
  for (NodeEntry& entry : value.entries) place(entry.value);
}

class Interpolator {
 public:
  Interpolator(const Node& root, const Node& defaults, bool check_paths)
      : root_(root), defaults_(defaults), check_paths_(check_paths) {}

  /// `node`, which stands at `path`, without references.
  Node Resolved(const Node& node, const std::string& path) {
    Count(node, path);
    if (node.kind == Node::Kind::kScalar) {
      if (node.text.find("${") == std::string::npos) return node;
      Node value = Expanded(node, path);
      value.origin = node.origin;
      PlaceItems(value);
      return value;
    }
    Node result = Node::Of(node.kind, node.origin);
    for (const NodeEntry& entry : node.entries) {
      result.entries.push_back({entry.key, Resolved(entry.value, Below(path, entry.key))});
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      result.items.push_back(Resolved(node.items[i], Below(path, i)));
    }
    return result;
  }

 private:
  /// A scalar on its way from left to right.
  struct Cursor {
    const std::string& text;
    const std::string where;  // for messages
    std::size_t at = 0;

    bool Done() const { return at >= text.size(); }
    bool StartsReference() const { return text.compare(at, 2, "${") == 0; }
    [[noreturn]] void Fail(const std::string& what) const { throw ConfigError(fmt::format("{}: {}", where, what)); }
    [[noreturn]] void FailOpen() const { Fail(fmt::format("`{}`: a ${{ is not closed", text)); }
  };

  void Count(const Node& node, const std::string& path) {
    if (++values_ <= kMaxValues) return;
    throw ConfigError(fmt::format("{}: the references give more than {} values", Where(node.origin, path), kMaxValues));
  }

  /// The value of a scalar that holds `${`.
  Node Expanded(const Node& node, const std::string& path) {
    Cursor cursor = {node.text, Where(node.origin, path)};
    std::string text;
    while (!cursor.Done()) {
      if (cursor.text[cursor.at] == '\\') {
        TakeBackslashes(cursor, text);
      } else if (cursor.StartsReference()) {
        const bool first = cursor.at == 0;
        Node value = TakeReference(cursor);
        if (first && cursor.Done()) return value;
        AppendText(value, cursor, text);
      } else {
        text += cursor.text[cursor.at++];
      }
    }
    return Node::Scalar(std::move(text), true);
  }

  /// Backslashes; before `${` they escape each other and, if one is left, the reference.
  static void TakeBackslashes(Cursor& cursor, std::string& text) {
    const std::size_t end = std::min(cursor.text.find_first_not_of('\\', cursor.at), cursor.text.size());
    const std::size_t count = end - cursor.at;
    cursor.at = end;
    if (!cursor.StartsReference()) {
      text.append(count, '\\');
      return;
    }
    text.append(count / 2, '\\');
    if (count % 2 == 0) return;
    text += "${";
    cursor.at += 2;
  }

  void AppendText(const Node& value, const Cursor& cursor, std::string& text) const {
    if (value.kind != Node::Kind::kScalar) {
      cursor.Fail(
          fmt::format("`{}`: a reference within a text gives {}; accepted: a scalar", cursor.text, Describe(value)));
    }
    text += value.text;
    if (text.size() > kMaxText) cursor.Fail(fmt::format("the references give more than {} bytes of text", kMaxText));
  }

  /// The value of the reference at the cursor, which moves behind its `}`.
  Node TakeReference(Cursor& cursor) {
    ++values_;
    cursor.at += 2;
    std::string name;
    while (!cursor.Done() && cursor.text[cursor.at] != '}' && cursor.text[cursor.at] != ':') {
      if (cursor.StartsReference()) {
        AppendText(TakeNested(cursor), cursor, name);
      } else {
        name += cursor.text[cursor.at++];
      }
    }
    if (cursor.Done()) cursor.FailOpen();
    if (cursor.text[cursor.at++] == '}') return Referenced(name, cursor);
    const std::vector<Node> arguments = TakeArguments(cursor);
    return Resolve(name, arguments, cursor.where, check_paths_);
  }

  Node TakeNested(Cursor& cursor) {
    if (++nesting_ > kMaxChain) cursor.Fail(fmt::format("more than {} references within each other", kMaxChain));
    Node value = TakeReference(cursor);
    --nesting_;
    return value;
  }

  /// Comma-separated arguments up to and with the `}`.
  std::vector<Node> TakeArguments(Cursor& cursor) {
    std::vector<Node> arguments;
    while (true) {
      arguments.push_back(TakeArgument(cursor));
      if (cursor.Done()) cursor.FailOpen();
      if (cursor.text[cursor.at++] == '}') return arguments;
    }
  }

  Node TakeArgument(Cursor& cursor) {
    const auto skip_space = [&] {
      while (!cursor.Done() && cursor.text[cursor.at] == ' ') ++cursor.at;
    };
    skip_space();
    if (!cursor.Done() && (cursor.text[cursor.at] == '"' || cursor.text[cursor.at] == '\'')) {
      Node value = TakeQuoted(cursor);
      skip_space();
      if (!cursor.Done() && cursor.text[cursor.at] != ',' && cursor.text[cursor.at] != '}') {
        cursor.Fail(fmt::format("`{}`: after a quoted argument, accepted: a comma or }}", cursor.text));
      }
      return value;
    }
    std::string text;
    while (!cursor.Done() && cursor.text[cursor.at] != ',' && cursor.text[cursor.at] != '}') {
      if (!cursor.StartsReference()) {
        text += cursor.text[cursor.at++];
        continue;
      }
      Node value = TakeNested(cursor);
      const bool ends = cursor.Done() || cursor.text[cursor.at] == ',' || cursor.text[cursor.at] == '}';
      if (text.empty() && ends) return value;
      AppendText(value, cursor, text);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return IsNullText(text) ? Node::Null() : Node::Scalar(std::move(text), false);
  }

  Node TakeQuoted(Cursor& cursor) {
    const char quote = cursor.text[cursor.at++];
    std::string text;
    while (!cursor.Done() && cursor.text[cursor.at] != quote) {
      if (cursor.StartsReference()) {
        AppendText(TakeNested(cursor), cursor, text);
      } else {
        text += cursor.text[cursor.at++];
      }
    }
    if (cursor.Done()) cursor.FailOpen();
    ++cursor.at;
    return Node::Scalar(std::move(text), true);
  }

  /// The value of the key `path`, itself without references.
  Node Referenced(const std::string& path, const Cursor& cursor) {
    if (path.empty() || path.front() == '.') {
      cursor.Fail(fmt::format("${{{}}}: accepted: a key path from the top, such as ${{model.d_model}}", path));
    }
    const auto begin = std::find(chain_.begin(), chain_.end(), path);
    if (begin != chain_.end()) {
      cursor.Fail(fmt::format("${{{}}}: the references go in a circle: {} -> {}", path,
                              Joined(std::span(begin, chain_.end()), " -> "), path));
    }
    if (chain_.size() >= kMaxChain) cursor.Fail(fmt::format("a chain of more than {} references", kMaxChain));
    chain_.push_back(path);
    Node value = Found(path, cursor);
    chain_.pop_back();
    return value;
  }

  Node Found(const std::string& path, const Cursor& cursor) {
    const Node* node = &root_;
    std::string walked;
    Node holder;  // where the walk went through a reference: its value
    bool resolved = false;
    for (const std::string& segment : Segments(path)) {
      if (!resolved && node->kind == Node::Kind::kScalar && node->text.find("${") != std::string::npos) {
        holder = Resolved(*node, walked);
        node = &holder;
        resolved = true;
      }
      const Node* const next = Step(*node, segment);
      if (next == nullptr) return FoundInDefaults(path, *node, walked, segment, cursor);
      walked = node->kind == Node::Kind::kSequence ? Below(walked, ParseInteger(segment).value_or(0))
                                                   : Below(walked, segment);
      node = next;
    }
    return resolved ? *node : Resolved(*node, walked);
  }

  static const Node* Step(const Node& node, const std::string& segment) {
    if (node.kind == Node::Kind::kMapping) return node.Find(segment);
    if (node.kind != Node::Kind::kSequence) return nullptr;
    const auto index = ParseInteger(segment);
    if (!index || *index < 0 || static_cast<std::size_t>(*index) >= node.items.size()) return nullptr;
    return &node.items[static_cast<std::size_t>(*index)];
  }

  /// A key that the file does not set; `parent`, at `walked`, has no `missing`.
  Node FoundInDefaults(const std::string& path, const Node& parent, const std::string& walked,
                       const std::string& missing, const Cursor& cursor) const {
    std::vector<std::string> names;
    if (parent.kind == Node::Kind::kMapping) {
      const Node* node = &defaults_;
      for (const std::string& segment : Segments(path)) {
        if (node != nullptr) node = Step(*node, segment);
      }
      if (node != nullptr) return *node;
      for (const NodeEntry& entry : parent.entries) names.push_back(Below(walked, entry.key));
      const Node* known = &defaults_;
      for (const std::string& segment : walked.empty() ? std::vector<std::string>() : Segments(walked)) {
        if (known != nullptr) known = Step(*known, segment);
      }
      if (known != nullptr) {
        for (const NodeEntry& entry : known->entries) {
          if (parent.Find(entry.key) == nullptr) names.push_back(Below(walked, entry.key));
        }
      }
      cursor.Fail(fmt::format("${{{}}}: no such key; {}", path, DidYouMean(Below(walked, missing), names)));
    }
    cursor.Fail(fmt::format("${{{}}}: no such key; {} is {}", path, walked, Describe(parent)));
  }

  const Node& root_;
  const Node& defaults_;
  const bool check_paths_;
  std::vector<std::string> chain_;
  std::size_t nesting_ = 0;
  int values_ = 0;
};

}  // namespace

Node Interpolate(const Node& root, const Node& defaults, bool check_paths) {
  return Interpolator(root, defaults, check_paths).Resolved(root, "");
}

}  // namespace coat
