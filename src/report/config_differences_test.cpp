#include "report/config_differences.h"

#include <gtest/gtest.h>

#include "config/yaml.h"

namespace coat {
namespace {

TEST(ConfigDifferences, AreTheKeysWhoseValuesDiffer) {
  const std::vector<Node> configs = {
      ParseYamlFile("a: 1\nb: {c: x, d: [1, 2]}\ne: [{f: 1}, {f: 2}]\ng: null\nsame: {x: [a], y: {}}\n", "one"),
      ParseYamlFile("a: 2\nb: {c: x, d: [1, 3], n: null}\ne: [{f: 1}, {f: 9}]\ng: ''\nsame: {x: [a], y: {}}\n", "two"),
      ParseYamlFile("a: 1\nb: {c: x, d: []}\ne: []\ng: null\nsame: {x: [a], y: {}}\n", "three")};
  std::string text;
  for (const ConfigDifference& difference : ConfigDifferences(configs)) {
    text += difference.key;
    for (const auto& value : difference.values) text += " | " + value.value_or("-");
    text += "\n";
  }
  EXPECT_EQ(text,
            "a | 1 | 2 | 1\n"
            "b.d | [1, 2] | [1, 3] | []\n"
            "e[0].f | 1 | 1 | -\n"
            "e[1].f | 2 | 9 | -\n"
            "g | null |  | null\n"
            "b.n | - | null | -\n"
            "e | - | - | []\n");
}

TEST(ConfigDifferences, OfOneOrOfEqualOnesAreNone) {
  const Node config = ParseYamlFile("a: 1\nb: [x, y]\n", "one");
  EXPECT_TRUE(ConfigDifferences(std::vector<Node>{config}).empty());
  EXPECT_TRUE(ConfigDifferences(std::vector<Node>{config, config, config}).empty());
}

}  // namespace
}  // namespace coat
