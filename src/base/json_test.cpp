#include "base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

using namespace std::string_view_literals;

std::string ProblemOf(std::string_view text) {
  return ErrorOf<IoError>([&] { ParseJson(text); });
}

TEST(ParseJson, ReadsWholeTexts) {
  EXPECT_EQ(ParseJson(" {\"a\": [1, 2.5, null, \"\\u0000\"]}\r\n")["a"].size(), 4u);
  EXPECT_EQ(ParseJson("-1e-999"), 0.0);
}

TEST(ParseJson, SaysFromWhereOnATextIsNotJson) {
  EXPECT_EQ(ProblemOf(""), "is not JSON from column 1 on");
  EXPECT_EQ(ProblemOf("{\"text\": \"b\""), "is not JSON from column 13 on");
  EXPECT_EQ(ProblemOf("{} {}"), "is not JSON from column 4 on");
  EXPECT_EQ(ProblemOf("{\n\"a\": x}"), "is not JSON from line 2, column 6 on");
  EXPECT_EQ(ProblemOf("{\n"), "is not JSON from line 2, column 1 on");
}

TEST(ParseJson, TakesANullByteForNoEnd) {
  EXPECT_EQ(ProblemOf("{}\0"sv), "is not JSON from column 3 on");
  EXPECT_EQ(ProblemOf("{}\0, {}"sv), "is not JSON from column 3 on");
  EXPECT_EQ(ProblemOf("{\"a\": 1,\n \"b\"\0: 2}"sv), "is not JSON from line 2, column 5 on");
  EXPECT_EQ(ProblemOf("\0{}"sv), "is not JSON from column 1 on");
}

TEST(ParseJson, RefusesWhatCannotBeHeld) {
  EXPECT_EQ(ProblemOf("{\"x\": 1e999}"), "has a number too large for double precision");
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_TRUE(ParseJson(nested(1001)).is_array());  // the outermost is not in another
  EXPECT_EQ(ProblemOf(nested(1002)), "has JSON nested more than 1000 levels deep");
  EXPECT_EQ(ProblemOf(std::string(1'000'000, '[')), "has JSON nested more than 1000 levels deep");
}

}  // namespace
}  // namespace coat
