#include "tools/arguments.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

using Texts = std::vector<std::string>;

const Texts kOptions = {"--threads", "--help"};

std::string RefusalOf(const std::string& argument) {
  return ErrorOf<UsageError>([&] { RequireOverrides(Texts{argument}, kOptions); });
}

TEST(RequireOverrides, TakesKeysOfTheTopLevelAndAllPaths) {
  RequireOverrides(Texts{"--optimizer.learning_rate=1e-4", "--data.paths=[a.npy,b.npy]", "--evaluators=[]",
                         "--save_overwrite", "--save-overwrite=false", "--stop_at=10", "--no.such.key=1"},
                   kOptions);
  RequireOverrides(Texts{}, kOptions);
}

TEST(RequireOverrides, NamesTheNearestOptionOrKey) {
  ExpectParts(RefusalOf("--thread=4"), {"--thread: no such option or key", "did you mean --threads?"});
  ExpectParts(RefusalOf("--save_overwite"), {"did you mean --save_overwrite?"});
  ExpectParts(RefusalOf("--stop-ad=3"), {"--stop-ad:", "did you mean --stop_at?"});
}

TEST(RequireOverrides, SaysWhereToLookWhenNothingIsNear) {
  ExpectParts(RefusalOf("--xyzzyplugh=1"), {"--xyzzyplugh:", "options: --threads, --help", "coat config --reference"});
}

TEST(RequireOverrides, RefusesWhatSetsNoKey) {
  for (const char* argument : {"value", "-x", "a.b=c", ""}) {
    ExpectParts(RefusalOf(argument), {argument, "unexpected argument", "--key.path=value"});
  }
  RefusalOf("--");
  RefusalOf("--=3");
}

TEST(RequireCommand, NamesTheNearestCommand) {
  const Texts commands = {"train", "plan", "tokenize"};
  RequireCommand("plan", commands);
  ExpectParts(ErrorOf<UsageError>([&] { RequireCommand("trian", commands); }), {"trian", "did you mean train?"});
  ExpectParts(ErrorOf<UsageError>([&] { RequireCommand("xyzzyplugh", commands); }), {"train, plan, tokenize"});
}

TEST(RequireNoArguments, NamesTheNearestOption) {
  RequireNoArguments(Texts{}, kOptions);
  ExpectParts(ErrorOf<UsageError>([] { RequireNoArguments(Texts{"--hepl=1"}, kOptions); }),
              {"--hepl: no such option; did you mean --help?"});
  ExpectParts(ErrorOf<UsageError>([] { RequireNoArguments(Texts{"more"}, kOptions); }), {"more: unexpected argument"});
}

TEST(WholeNumber, TakesDecimalNumbersInItsRange) {
  EXPECT_EQ(WholeNumber("--n", "12", 1, 12), 12);
  EXPECT_EQ(WholeNumber("--n", "-3", -3, 3), -3);
  EXPECT_EQ(WholeNumber("--n", "9223372036854775807", 0, std::numeric_limits<std::int64_t>::max()),
            std::numeric_limits<std::int64_t>::max());
  for (const char* const text : {"0", "13", "-1", "010", "0x10", "1GB", "two", "1.0", "1e1", "", " 1", "1 ",
                                 "99999999999999999999", "18446744073709551617"}) {
    EXPECT_EQ(ErrorOf<UsageError>([&] { WholeNumber("--n", text, 1, 12); }),
              fmt::format("--n: found {}; accepted: a whole number from 1 to 12", text));
  }
}

TEST(DecimalNumber, TakesNumbersThatADoubleHolds) {
  EXPECT_EQ(DecimalNumber("--t", "0.7"), 0.7);
  EXPECT_EQ(DecimalNumber("--t", "-1"), -1.0);
  EXPECT_EQ(DecimalNumber("--t", "1e-3"), 1e-3);
  for (const char* const text : {"0,7", "nan", "inf", "0x1p3", "1e999", "", "half"}) {
    EXPECT_EQ(ErrorOf<UsageError>([&] { DecimalNumber("--t", text); }),
              fmt::format("--t: found {}; accepted: a number such as 0.5", text));
  }
}

}  // namespace
}  // namespace coat
