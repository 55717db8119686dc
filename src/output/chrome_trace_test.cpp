#include "output/chrome_trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace coat {
namespace {

const std::vector<Profile::Span> kSpans = {
    {.name = "step 7", .begin = 0, .duration = 10'000, .depth = 0},
    {.name = "forward of block 0", .begin = 1000, .duration = 2000, .depth = 1},
    {.name = "forward of block 1", .begin = 3000, .duration = 3000, .depth = 1},
    {.name = "step 8", .begin = 10'000, .duration = 4000, .depth = 0},
    {.name = "step 7", .begin = 500, .duration = 9000, .depth = 0, .on_device = true},
};

TEST(ChromeTrace, IsJsonWithACompleteEventASpan) {
  const auto trace = nlohmann::json::parse(ChromeTrace(kSpans, "a \"quoted\" run", "a GPU"));
  std::vector<nlohmann::json> spans;
  std::vector<std::string> names;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X") {
      spans.push_back(event);
    } else {
      names.push_back(event.at("args").at("name"));
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a \"quoted\" run", "host", "a GPU"}));
  ASSERT_EQ(spans.size(), kSpans.size());
  EXPECT_EQ(spans[1].at("name"), "forward of block 0");
  EXPECT_EQ(spans[1].at("ts"), 1000.0);
  EXPECT_EQ(spans[1].at("dur"), 2000.0);
  EXPECT_EQ(spans[1].at("tid"), spans[0].at("tid"));
  EXPECT_NE(spans[4].at("tid"), spans[0].at("tid"));
}

TEST(ChromeTrace, HoldsNamesThatAreNotUtf8) {
  const auto trace = nlohmann::json::parse(ChromeTrace(kSpans, "run \xff", "a GPU"));
  EXPECT_EQ(trace.at("traceEvents").at(0).at("args").at("name"), "run \xef\xbf\xbd");
}

TEST(ChromeTrace, HasATableOfNamesWithoutNumbers) {
  EXPECT_EQ(ProfileTable(kSpans, false, 10),
            "name                               calls     total ms       own ms\n"
            "step                                   2       14.000        9.000\n"
            "forward of block                       2        5.000        5.000");
  EXPECT_EQ(ProfileTable(kSpans, true, 10),
            "name                               calls     total ms       own ms\n"
            "step                                   1        9.000        9.000");
  EXPECT_EQ(ProfileTable(kSpans, false, 1).find("forward"), std::string::npos);
}

}  // namespace
}  // namespace coat
