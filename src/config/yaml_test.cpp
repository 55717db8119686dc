#include "config/yaml.h"

#include <fmt/core.h>

#include <string>

#include "config/yaml_text.h"
#include "tests/support/config_testing.h"

namespace coat {
namespace {

std::string Error(const std::string& text) {
  return ConfigErrorOf([&] { ParseYamlFile(text, "x.yaml"); });
}

TEST(ParseYamlFile, KeepsKindsQuotesAndLines) {
  const Node root = ParseYamlFile("a: 1\nb: 'x'\nc:\nd: \"null\"\n\ne:\n  - f\n  - g: 2\n", "x.yaml");
  ASSERT_EQ(root.entries.size(), 5u);
  EXPECT_EQ(root.Find("a")->text, "1");
  EXPECT_FALSE(root.Find("a")->quoted);
  EXPECT_TRUE(root.Find("b")->quoted);
  EXPECT_EQ(root.Find("c")->kind, Node::Kind::kNull);
  EXPECT_EQ(root.Find("d")->kind, Node::Kind::kScalar);
  EXPECT_EQ(root.Find("e")->origin.line, 6);
  EXPECT_EQ(root.Find("e")->items[0].origin.line, 7);
  EXPECT_EQ(root.Find("e")->items[1].Find("g")->origin.line, 8);
  EXPECT_EQ(root.Find("e")->items[1].Find("g")->origin.file, "x.yaml");
}

TEST(ParseYamlFile, AnEmptyFileIsAnEmptyMapping) {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "---\n...\n"}) {
    const Node root = ParseYamlFile(text, "x.yaml");
    EXPECT_EQ(root.kind, Node::Kind::kMapping) << text;
    EXPECT_TRUE(root.entries.empty()) << text;
  }
}

TEST(ParseYamlFile, TakesAMarkAtTheBeginningAndCarriageReturns) {
  const Node root = ParseYamlFile(
      "\xef\xbb\xbf"
      "a: 1\r\nb: 2\r\n",
      "x.yaml");
  EXPECT_EQ(root.Find("a")->text, "1");
  EXPECT_EQ(root.Find("b")->text, "2");
  EXPECT_EQ(root.Find("b")->origin.line, 2);
}

TEST(ParseYamlFile, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(Error("a: 1\nb: 2\na: 3\n"), "x.yaml:3: a: this key stands twice in one mapping, first on line 1");
  EXPECT_EQ(Error("m:\n  a: 1\n  a: 1\n"), "x.yaml:3: a: this key stands twice in one mapping, first on line 2");
}

TEST(ParseYamlFile, NamesTheLineOfASyntaxError) {
  EXPECT_EQ(Error("a: 1\nb: c: d\n"), "x.yaml:2: this is not YAML: illegal map value");
  EXPECT_NE(Error("a: [1, 2\n").find("x.yaml:"), std::string::npos);
  EXPECT_NE(Error("a: {b: 1\n").find("this is not YAML: end of map flow not found"), std::string::npos);
  EXPECT_NE(Error("a: *nowhere\n").find("x.yaml:1: this is not YAML"), std::string::npos);
}

TEST(ParseYamlFile, DoesNotTakeTheRestOfTheFileForAQuoteThatIsNotClosed) {
  EXPECT_NE(Error("a: 'x\nb: 2\n").find("a quote is not closed"), std::string::npos);
  EXPECT_NE(Error("a: \"x\nb: 2\n").find("a quote is not closed"), std::string::npos);
}

TEST(ParseYamlFile, RefusesWhatIsNoMapping) {
  EXPECT_EQ(Error("- a\n- b\n"), "x.yaml:1: found a list; accepted: a mapping of keys");
  EXPECT_EQ(Error("hello\n"), "x.yaml:1: found `hello`; accepted: a mapping of keys");
}

TEST(ParseYamlFile, RefusesTagsSeveralDocumentsAndKeysThatAreNoWords) {
  EXPECT_EQ(Error("a: !!int 3\n"), "x.yaml:1: the tag tag:yaml.org,2002:int is not accepted");
  EXPECT_EQ(Error("a: 1\n---\nb: 2\n"), "x.yaml:3: a second document; accepted: one");
  EXPECT_EQ(Error("? [a]\n: b\n"), "x.yaml:1: a key must be a plain word");
}

TEST(ParseYamlFile, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(Error("a: 1\nb: caf\xe9\n"), "x.yaml:2: a byte that is not UTF-8; accepted: a text in UTF-8");
  EXPECT_EQ(Error(std::string("\xff\xfe\x61\0", 4)), "x.yaml:1: a byte that is not UTF-8; accepted: a text in UTF-8");
  EXPECT_EQ(ParseYamlFile("a: caf\xc3\xa9\n", "x.yaml").entries.size(), 1u);
}

TEST(ParseYamlFile, RefusesTextsThatASystemCutsShort) {
  EXPECT_EQ(Error("a: 1\nb: [\"x\\0y\"]\n"), "x.yaml:2: a text with the character \\0; accepted: any other");
  EXPECT_EQ(Error("\"a\\0\": 1\n"), "x.yaml:1: a text with the character \\0; accepted: any other");
}

TEST(ParseYamlFile, FollowsAliasesAndMergeKeys) {
  const Node root = ParseYamlFile("a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  c: 3\ne: {<<: [*a, {f: 4}]}\n", "x.yaml");
  EXPECT_EQ(root.Find("d")->Find("b")->text, "1");
  EXPECT_EQ(root.Find("d")->Find("c")->text, "3");
  EXPECT_EQ(root.Find("e")->Find("f")->text, "4");
  EXPECT_EQ(Error("a: {<<: 3}\n"), "x.yaml:1: << takes a mapping or a list of mappings");
}

TEST(ParseYamlFile, StopsAtDepthAndAtAliasesThatMultiply) {
  EXPECT_EQ(Error("a: &a [*a]\n"), "x.yaml:1: more than 64 levels");
  EXPECT_NE(Error("a: " + std::string(100'000, '[')).find("more than 64 levels"), std::string::npos);
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}", i, i - 1);
    for (int j = 1; j < 10; ++j) bomb += fmt::format(",*a{}", i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(Error(bomb).find("more than 1000000 values"), std::string::npos);
}

TEST(ParseYamlArgument, NamesTheArgument) {
  EXPECT_EQ(ParseYamlArgument("[a.npy,b.npy]", "--x").items[1].text, "b.npy");
  EXPECT_TRUE(ParseYamlArgument("1", "--x").origin.OnCommandLine());
  EXPECT_EQ(ParseYamlArgument("", "--x").kind, Node::Kind::kNull);
  EXPECT_EQ(ConfigErrorOf([] { ParseYamlArgument("[1", "--x=[1"); }),
            "on the command line: --x=[1: this is not YAML: end of sequence flow not found");
}

/// The same tree but for origins.
bool Same(const Node& a, const Node& b) {
  if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() ||
      a.entries.size() != b.entries.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!Same(a.items[i], b.items[i])) return false;
  }
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    if (a.entries[i].key != b.entries[i].key || !Same(a.entries[i].value, b.entries[i].value)) return false;
  }
  return true;
}

TEST(YamlText, LoadsToTheSameTree) {
  Node root = Node::Mapping();
  int n = 0;
  for (const char* text :
       {"word", "null", "~",    "",         " ",  "true", "No",     "1",         "1.5",   "-",
        "- a",  "a: b", "a #b", "'",        "\"", "\\",   "a\nb",   "tab\there", "[x]",   "{x}",
        "*x",   "&x",   "!x",   "%x",       "@x", "`x`",  "runs/x", "/abs/path", "../up", "2001-01-01",
        "0x1",  "1e5",  "\x01", "\xc3\xa9", "=",  "<<",   "a,b",    "?",         "k: [1"}) {
    root.entries.push_back({fmt::format("k{}", n++), Node::Scalar(text, true)});
    root.entries.push_back({fmt::format("key {}", text), Node::Null()});
  }
  Node list = Node::Sequence();
  list.items = {Node::Null(), Node::Scalar("a long text that does not fit", true), Node::Sequence(), Node::Mapping()};
  Node inner = Node::Mapping();
  inner.entries.push_back({"a", list});
  inner.entries.push_back({"b", Node::Mapping()});
  list.items.push_back(inner);
  list.items.push_back(list);
  root.entries.push_back({"list", list});
  EXPECT_TRUE(Same(ParseYamlFile(YamlText(root), "x.yaml"), root)) << YamlText(root);
}

}  // namespace
}  // namespace coat
