#include "config/interpolation.h"

#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "config/yaml.h"
#include "config/yaml_text.h"
#include "tests/support/config_testing.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

Node Interpolated(const std::string& text, bool check_paths = true) {
  return Interpolate(ParseYamlFile(text, "x.yaml"), ParseYamlFile("d: 5\nm: {n: 6}\n", "defaults"), check_paths);
}

/// The value of `v` as text.
std::string ValueOf(const std::string& text, bool check_paths = true) {
  const Node root = Interpolated(text, check_paths);
  const Node& value = *root.Find("v");
  return value.kind == Node::Kind::kScalar ? value.text : YamlText(value);
}

std::string Error(const std::string& text) {
  return ConfigErrorOf([&] { Interpolated(text); });
}

TEST(Interpolate, AReferenceAloneKeepsItsKind) {
  EXPECT_EQ(ValueOf("a: 12\nv: ${a}\n"), "12");
  EXPECT_EQ(ValueOf("a: null\nv: ${a}\n"), "null\n");
  EXPECT_EQ(ValueOf("a: [1, 2]\nv: ${a}\n"), "[1, 2]\n");
  EXPECT_EQ(ValueOf("a: {b: {c: 3}}\nv: ${a.b}\n"), "c: 3\n");
  EXPECT_EQ(ValueOf("a: [x, {b: y}]\nv: ${a[1].b}\n"), "y");
  EXPECT_EQ(ValueOf("a: [x, y]\nv: ${a.1}\n"), "y");
}

TEST(Interpolate, TextAroundReferencesIsPutTogether) {
  EXPECT_EQ(ValueOf("run_name: tiny\nv: runs/${run_name}/x-${run_name}\n"), "runs/tiny/x-tiny");
  EXPECT_EQ(ValueOf("a: b\nb: c\nv: '${${a}}'\n"), "c");
  EXPECT_EQ(ValueOf("a: \"${b}x\"\nb: \"${c}y\"\nc: z\nv: <${a}>\n"), "<zyx>");
  EXPECT_EQ(ValueOf("a: {b: 1}\nr: ${a}\nv: ${r.b}\n"), "1");
}

TEST(Interpolate, DefaultsCanBeReferredTo) {
  EXPECT_EQ(ValueOf("v: ${d}\n"), "5");
  EXPECT_EQ(ValueOf("d: 7\nv: ${d}\n"), "7");
  EXPECT_EQ(ValueOf("m: {x: 1}\nv: ${m.n}\n"), "6");
}

TEST(Interpolate, ABackslashKeepsAReferenceAsText) {
  EXPECT_EQ(ValueOf("v: \\${a}\n"), "${a}");
  EXPECT_EQ(ValueOf("a: 1\nv: \\\\${a}\n"), "\\1");
  EXPECT_EQ(ValueOf("a: 1\nv: \\\\\\${a}\n"), "\\${a}");
  EXPECT_EQ(ValueOf("a: 1\nv: \\x${a}\n"), "\\x1");
  EXPECT_EQ(ValueOf("v: $a {b}\n"), "$a {b}");
}

TEST(Interpolate, ErrorsNameTheLineAndTheKey) {
  EXPECT_EQ(Error("save_interval: 1\nv: ${save_intervall}\n"),
            "x.yaml:2: v: ${save_intervall}: no such key; did you mean save_interval?");
  EXPECT_EQ(Error("a:\n  b: [x, '${c.q}']\nc: {zzzzzz: 1}\n"),
            "x.yaml:2: a.b[1]: ${c.q}: no such key; accepted: c.zzzzzz");
  EXPECT_EQ(Error("d: 1\nv: ${zzzzzzzz}\n"), "x.yaml:2: v: ${zzzzzzzz}: no such key; accepted: d, v, m");
  EXPECT_EQ(Error("a: 1\nv: ${a.b}\n"), "x.yaml:2: v: ${a.b}: no such key; a is `1`");
  EXPECT_EQ(Error("a: [1]\nv: ${a[1]}\n"), "x.yaml:2: v: ${a[1]}: no such key; a is a list");
  EXPECT_EQ(Error("a: null\nv: x${a}\n"),
            "x.yaml:2: v: `x${a}`: a reference within a text gives null; accepted: a scalar");
  EXPECT_EQ(Error("a: [1]\nv: x${a}\n"),
            "x.yaml:2: v: `x${a}`: a reference within a text gives a list; accepted: a scalar");
  EXPECT_EQ(Error("v: x${a\n"), "x.yaml:1: v: `x${a`: a ${ is not closed");
  EXPECT_EQ(Error("v: ${oc.env:A,'b}\n"), "x.yaml:1: v: `${oc.env:A,'b}`: a ${ is not closed");
  EXPECT_EQ(Error("v: ${}\n"), "x.yaml:1: v: ${}: accepted: a key path from the top, such as ${model.d_model}");
  EXPECT_EQ(Error("v: ${.a}\n"), "x.yaml:1: v: ${.a}: accepted: a key path from the top, such as ${model.d_model}");
  EXPECT_EQ(Error("v: ${path.blob:x}\n"), "x.yaml:1: v: ${path.blob}: no such resolver; did you mean path.glob?");
  EXPECT_NE(Error("v: ${oc.decode:x}\n").find("x.yaml:1: v: ${oc.decode}: no such resolver; "), std::string::npos);
}

TEST(Interpolate, CirclesAreErrors) {
  EXPECT_EQ(Error("a: ${a}\n"), "x.yaml:1: a: ${a}: the references go in a circle: a -> a");
  EXPECT_EQ(Error("a: ${b}\nb: x${c}\nc: ${a}\n"),
            "x.yaml:1: a: ${b}: the references go in a circle: b -> c -> a -> b");
  EXPECT_NE(Error("a: {b: '${a}'}\n").find("in a circle"), std::string::npos);
  EXPECT_NE(Error("a: ${a.b}\n").find("in a circle"), std::string::npos);
}

TEST(Interpolate, StopsWhereReferencesMultiply) {
  std::string lists = "a0: [1,1,1,1,1,1,1,1,1,1]\n";
  std::string texts = "t0: xxxxxxxxxx\n";
  std::string empty = "e0: ''\n";
  for (int i = 1; i < 40; ++i) {
    lists += fmt::format("a{0}: ['${{a{1}}}', '${{a{1}}}', '${{a{1}}}']\n", i, i - 1);
    texts += fmt::format("t{0}: '${{t{1}}}${{t{1}}}'\n", i, i - 1);
    empty += fmt::format("e{0}: '${{e{1}}}${{e{1}}}'\n", i, i - 1);
  }
  EXPECT_NE(Error(lists).find("the references give more than 1000000 values"), std::string::npos);
  EXPECT_NE(Error(texts).find("the references give more than"), std::string::npos);
  EXPECT_NE(Error(empty).find("the references give more than 1000000 values"), std::string::npos);
  std::string chain = "c0: 1\n";
  for (int i = 1; i < 200; ++i) chain += fmt::format("c{}: ${{c{}}}\n", i, i - 1);
  EXPECT_NE(Error(chain).find("a chain of more than 100 references"), std::string::npos);
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "${";
  EXPECT_NE(Error("v: '" + nested + "'\n").find("more than 100 references within each other"), std::string::npos);
}

TEST(EnvironmentResolver, GivesTheVariableOrTheDefault) {
  setenv("COAT_CONFIG_TEST", "from ${nowhere}", 1);
  unsetenv("COAT_CONFIG_TEST_ABSENT");
  EXPECT_EQ(ValueOf("v: ${oc.env:COAT_CONFIG_TEST}\n"), "from ${nowhere}")
      << "what the environment says is not resolved";
  EXPECT_EQ(ValueOf("r: ${oc.env:COAT_CONFIG_TEST}\nv: ${r}\n"), "from ${nowhere}");
  EXPECT_EQ(ValueOf("v: ${oc.env:COAT_CONFIG_TEST_ABSENT,a/b.npy}\n"), "a/b.npy");
  EXPECT_EQ(ValueOf("v: ${oc.env:COAT_CONFIG_TEST_ABSENT, ' a, b} ' }\n"), " a, b} ");
  EXPECT_EQ(ValueOf("v: ${oc.env:COAT_CONFIG_TEST_ABSENT,null}\n"), "null\n");
  EXPECT_EQ(ValueOf("a: q\nv: ${oc.env:COAT_CONFIG_TEST_ABSENT,x/${a}/y}\n"), "x/q/y");
  EXPECT_EQ(ValueOf("a: [1]\nv: ${oc.env:COAT_CONFIG_TEST_ABSENT,${a}}\n"), "[1]\n");
  EXPECT_EQ(Error("v: ${oc.env:COAT_CONFIG_TEST_ABSENT}\n"),
            "x.yaml:1: v: ${oc.env}: the environment has no COAT_CONFIG_TEST_ABSENT; accepted: "
            "${oc.env:COAT_CONFIG_TEST_ABSENT,default}");
  EXPECT_EQ(Error("v: ${oc.env:A,b,c}\n"), "x.yaml:1: v: ${oc.env}: 3 arguments; accepted: 1 or 2");
  setenv("COAT_CONFIG_TEST", "null", 1);
  EXPECT_EQ(ValueOf("v: ${oc.env:COAT_CONFIG_TEST}\n"), "null") << "a text";
}

class PathResolvers : public ::testing::Test {
 protected:
  PathResolvers() {
    for (const char* file : {"b.npy", "a.npy", "c.txt"}) dir_.Write(file, "x");
    for (const char* folder : {"step10", "step9", "step100-unsharded", "step100", "step200-tmp", "step", "stepx"}) {
      std::filesystem::create_directories(At("save/" + std::string(folder)));
    }
  }

  std::string At(const std::string& name) const { return dir_.File(name); }

  TempDir dir_;
};

TEST_F(PathResolvers, GlobSortsTheMatchesOfEachPattern) {
  const Node root = Interpolated("v: ${path.glob:" + At("*.txt") + "," + At("*.npy") + "}\n");
  const Node& list = *root.Find("v");
  ASSERT_EQ(list.items.size(), 3u);
  EXPECT_EQ(list.items[0].origin.file, "x.yaml");
  EXPECT_EQ(list.items[0].text, At("c.txt"));
  EXPECT_EQ(list.items[1].text, At("a.npy"));
  EXPECT_EQ(list.items[2].text, At("b.npy"));
  EXPECT_EQ(Error("v: ${path.glob:" + At("*.bin") + "}\n"),
            "x.yaml:1: v: ${path.glob}: no file matches " + At("*.bin"));
  EXPECT_EQ(ValueOf("v: ${path.glob:" + At("*.bin") + "}\n", false), "[]\n");
  EXPECT_NE(Error("v: x${path.glob:" + At("*.npy") + "}\n").find("gives a list"), std::string::npos);
}

TEST_F(PathResolvers, ChooseTakesTheFirstThatExistsOrIsAUrl) {
  EXPECT_EQ(ValueOf("v: ${path.choose:" + At("nope") + "," + At("c.txt") + "," + At("a.npy") + "}\n"), At("c.txt"));
  EXPECT_EQ(ValueOf("v: ${path.choose:" + At("nope") + ",s3://bucket/x}\n"), "s3://bucket/x");
  EXPECT_EQ(Error("v: ${path.choose:" + At("p") + "," + At("q") + "}\n"),
            "x.yaml:1: v: ${path.choose}: none of these exists: " + At("p") + ", " + At("q"));
  EXPECT_EQ(ValueOf("v: ${path.choose:" + At("p") + "," + At("q") + "}\n", false), At("p"));
}

TEST_F(PathResolvers, LastCheckpointComparesNumbers) {
  EXPECT_EQ(ValueOf("v: ${path.last_checkpoint:" + At("save") + "}\n"), At("save/step100"));
  EXPECT_EQ(Error("v: ${path.last_checkpoint:" + At("nope") + "}\n"),
            "x.yaml:1: v: ${path.last_checkpoint}: no checkpoint in " + At("nope"));
  EXPECT_EQ(ValueOf("v: ${path.last_checkpoint:" + At("nope") + "}\n", false), At("nope"));
}

TEST_F(PathResolvers, CheckExistGivesNullForWhatDoesNot) {
  EXPECT_EQ(ValueOf("n: a\nv: ${path.check_exist:" + At("${n}.npy") + "}\n"), At("a.npy"));
  EXPECT_EQ(ValueOf("v: ${path.check_exist:" + At("nope") + "}\n"), "null\n");
  EXPECT_EQ(Error("v: ${path.check_exist:a,b}\n"), "x.yaml:1: v: ${path.check_exist}: 2 arguments; accepted: 1");
  EXPECT_EQ(Error("v: ${path.check_exist:}\n"),
            "x.yaml:1: v: ${path.check_exist}: argument 1 is null; accepted: a text");
}

}  // namespace
}  // namespace coat
