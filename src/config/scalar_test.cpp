#include "config/scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "config/duration.h"

namespace coat {
namespace {

TEST(ParseInteger, ReadsSignsAndUnderscores) {
  EXPECT_EQ(ParseInteger("0"), 0);
  EXPECT_EQ(ParseInteger("739_328"), 739328);
  EXPECT_EQ(ParseInteger("-12"), -12);
  EXPECT_EQ(ParseInteger("+12"), 12);
  EXPECT_EQ(ParseInteger("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ParseInteger("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
}

TEST(ParseInteger, RefusesWhatReadersOfYamlDisagreeAbout) {
  for (const char* text : {"",
                           "-",
                           "_1",
                           "1_",
                           "1__0",
                           "010",
                           "00",
                           "0x10",
                           "0o10",
                           "1e3",
                           "4.0",
                           "1:30",
                           " 1",
                           "1 ",
                           "--1",
                           "9223372036854775808",
                           "99999999999999999999999",
                           "1,000",
                           "true",
                           "null"}) {
    EXPECT_EQ(ParseInteger(text), std::nullopt) << text;
  }
}

TEST(ParseNumber, ReadsEveryFormOfRealConfigs) {
  EXPECT_EQ(ParseNumber("4.0e-4"), 4.0e-4);
  EXPECT_EQ(ParseNumber("1e-5"), 1e-5);
  EXPECT_EQ(ParseNumber("1E+5"), 1e5);
  EXPECT_EQ(ParseNumber(".5"), 0.5);
  EXPECT_EQ(ParseNumber("5."), 5.0);
  EXPECT_EQ(ParseNumber("0.1"), 0.1);
  EXPECT_EQ(ParseNumber("-0"), 0.0);
  EXPECT_EQ(ParseNumber("12"), 12.0);
  EXPECT_EQ(ParseNumber("8_388_608_000"), 8388608000.0);
  EXPECT_EQ(ParseNumber("1_000.000_1"), 1000.0001);
}

TEST(ParseNumber, RefusesWhatIsNoFiniteDecimalNumber) {
  for (const char* text : {"",     ".",   "-",   "e5",   ".e5",   "1e",   "1e+", "1.2.3", "1e400", "1e-400",
                           ".inf", "inf", "nan", ".nan", "0x1p3", "01.5", "1 ",  "1d5",   "1_.0",  "1e5.0"}) {
    EXPECT_EQ(ParseNumber(text), std::nullopt) << text;
  }
}

TEST(ParseBool, KnowsTrueAndFalseOnly) {
  EXPECT_EQ(ParseBool("true"), true);
  EXPECT_EQ(ParseBool("False"), false);
  EXPECT_EQ(ParseBool("TRUE"), true);
  for (const char* text : {"yes", "no", "on", "off", "1", "0", "tRue", ""})
    EXPECT_EQ(ParseBool(text), std::nullopt) << text;
}

TEST(NumberText, ReadsBackEqualAndLooksLikeANumber) {
  EXPECT_EQ(NumberText(1.0), "1.0");
  EXPECT_EQ(NumberText(1e-5), "1.0e-5");
  EXPECT_EQ(NumberText(2.5e-15), "2.5e-15");
  EXPECT_EQ(NumberText(0.1), "0.1");
  EXPECT_EQ(NumberText(5e12), "5.0e+12");
  std::mt19937_64 random(7);
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t bits = random();
    double value = 0;
    static_assert(sizeof(value) == sizeof(bits));
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value) || !std::isnormal(value)) continue;
    EXPECT_EQ(ParseNumber(NumberText(value)), value) << NumberText(value);
  }
}

TEST(ParseDuration, ReadsStepsTokensAndEpochs) {
  using Unit = Duration::Unit;
  EXPECT_EQ(ParseDuration("10000"), (Duration{10000, Unit::kSteps}));
  EXPECT_EQ(ParseDuration("739_328"), (Duration{739328, Unit::kSteps}));
  EXPECT_EQ(ParseDuration("1e4"), (Duration{10000, Unit::kSteps}));
  EXPECT_EQ(ParseDuration("12.9"), (Duration{12, Unit::kSteps}));
  EXPECT_EQ(ParseDuration("2e12T"), (Duration{2'000'000'000'000, Unit::kTokens}));
  EXPECT_EQ(ParseDuration("5 T"), (Duration{5, Unit::kTokens}));
  EXPECT_EQ(ParseDuration("1ep"), (Duration{1, Unit::kEpochs}));
  EXPECT_EQ(ParseDuration("2 ep"), (Duration{2, Unit::kEpochs}));
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* text :
       {"", "T", "ep", "1.5ep", "1e19T", "9223372036854775808", "10 steps", "2e12t", "1 epoch", "null"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Duration, ItsTextReadsBackEqual) {
  for (const char* text : {"10000", "2e12T", "3ep"}) {
    const Duration duration = ParseDuration(text).value();
    EXPECT_EQ(ParseDuration(ToText(duration)), duration);
  }
}

}  // namespace
}  // namespace coat
