#include "config/yaml.h"

#include <fmt/core.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace coat {

namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxNodes = 1'000'000;
constexpr const char* kEndOfDocument = "\n...\n";

/// Turns the library's tree into ours. `file` empty: the command line.
class Converter {
 public:
  Converter(std::string file, std::string argument) : file_(std::move(file)), argument_(std::move(argument)) {}

  Node Convert(const YAML::Node& yaml, const YAML::Mark& mark, int depth) {
    if (depth > kMaxDepth) Fail(mark, fmt::format("more than {} levels", kMaxDepth));
    if (++nodes_ > kMaxNodes) Fail(mark, fmt::format("more than {} values", kMaxNodes));
    RefuseTag(yaml, mark);
    switch (yaml.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return Node::Null(At(mark));
      case YAML::NodeType::Scalar:
        RefuseNul(yaml.Scalar(), mark);
        return Node::Scalar(yaml.Scalar(), yaml.Tag() == "!", At(mark));
      case YAML::NodeType::Sequence: {
        Node node = Node::Sequence(At(mark));
        for (const YAML::Node& item : yaml) node.items.push_back(Convert(item, item.Mark(), depth + 1));
        return node;
      }
      case YAML::NodeType::Map:
        return ConvertMapping(yaml, mark, depth);
    }
    Fail(mark, "a value of no known kind");
  }

  [[noreturn]] void Fail(const YAML::Mark& mark, const std::string& what) const {
    if (file_.empty()) throw ConfigError(fmt::format("on the command line: {}: {}", argument_, what));
    throw ConfigError(fmt::format("{}: {}", Where(At(mark), ""), what));
  }

 private:
  Origin At(const YAML::Mark& mark) const { return file_.empty() ? Origin{} : Origin{file_, mark.line + 1}; }

  void RefuseTag(const YAML::Node& yaml, const YAML::Mark& mark) const {
    const std::string& tag = yaml.Tag();
    if (tag.empty() || tag == "?" || tag == "!") return;
    Fail(mark, fmt::format("the tag {} is not accepted", tag));
  }

  /// The system would take the rest of a path for absent, and a message would end there.
  void RefuseNul(const std::string& text, const YAML::Mark& mark) const {
    if (text.find('\0') != std::string::npos) Fail(mark, "a text with the character \\0; accepted: any other");
  }

  Node ConvertMapping(const YAML::Node& yaml, const YAML::Mark& mark, int depth) {
    Node node = Node::Mapping(At(mark));
    std::vector<Node> merged;
    for (const auto& entry : yaml) {
      const YAML::Mark key_mark = entry.first.Mark();
      if (!entry.first.IsScalar()) Fail(key_mark, "a key must be a plain word");
      const std::string& key = entry.first.Scalar();
      RefuseNul(key, key_mark);
      Node value = Convert(entry.second, key_mark, depth + 1);
      if (key == "<<") {
        AddMerged(std::move(value), key_mark, merged);
        continue;
      }
      if (const Node* const first = node.Find(key)) {
        const std::string where = file_.empty() ? "" : fmt::format(", first on line {}", first->origin.line);
        Fail(key_mark, fmt::format("{}: this key stands twice in one mapping{}", key, where));
      }
      node.entries.push_back({key, std::move(value)});
    }
    for (Node& source : merged) {
      for (NodeEntry& entry : source.entries) {
        if (node.Find(entry.key) == nullptr) node.entries.push_back(std::move(entry));
      }
    }
    return node;
  }

  void AddMerged(Node value, const YAML::Mark& mark, std::vector<Node>& merged) const {
    if (value.kind == Node::Kind::kMapping) {
      merged.push_back(std::move(value));
    } else if (value.kind == Node::Kind::kSequence) {
      for (Node& item : value.items) {
        if (item.kind != Node::Kind::kMapping) Fail(mark, "<< takes a mapping or a list of mappings");
        merged.push_back(std::move(item));
      }
    } else {
      Fail(mark, "<< takes a mapping or a list of mappings");
    }
  }

  std::string file_;
  std::string argument_;
  int nodes_ = 0;
};

Node Parse(const std::string& text, Converter& converter) {
  // The library would put the character U+FFFD for what it cannot read.
  if (const std::size_t end = FindInvalidUtf8(text); end < text.size()) {
    YAML::Mark mark;
    mark.line = static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    converter.Fail(mark, "a byte that is not UTF-8; accepted: a text in UTF-8");
  }
  std::vector<YAML::Node> documents;
  try {
    // The library takes the end of the text for the end of an open quote, but not the end of a document.
    documents = YAML::LoadAll(text + kEndOfDocument);
  } catch (const YAML::DeepRecursion& error) {
    converter.Fail(error.mark, fmt::format("more than {} levels", kMaxDepth));
  } catch (const YAML::Exception& error) {
    if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR) converter.Fail(error.mark, "a quote is not closed");
    converter.Fail(error.mark, fmt::format("this is not YAML: {}", error.msg));
  }
  if (documents.size() > 1) converter.Fail(documents[1].Mark(), "a second document; accepted: one");
  if (documents.empty()) return Node::Null();
  return converter.Convert(documents[0], documents[0].Mark(), 0);
}

}  // namespace

Node ParseYamlFile(const std::string& text, const std::string& name) {
  Converter converter(name, "");
  Node node = Parse(text, converter);
  if (node.kind == Node::Kind::kNull) return Node::Mapping({name, 1});
  if (node.kind != Node::Kind::kMapping) {
    throw ConfigError(fmt::format("{}: found {}; accepted: a mapping of keys", Where(node.origin, ""), Describe(node)));
  }
  return node;
}

Node ParseYamlArgument(const std::string& text, const std::string& argument) {
  Converter converter("", argument);
  return Parse(text, converter);
}

}  // namespace coat
