#include "comm/same_values.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

using Values = std::vector<NamedValue>;

/// What all ranks throw when rank 0 has `first`, rank 2 of 3 has `other` and rank 1 what rank 0 has; "" for nothing.
std::string Difference(const Values& first, const Values& other) {
  std::vector<std::string> messages(3);
  RunAsRanks(3, [&](Communicator& ranks) {
    try {
      RequireSame(ranks, ranks.rank() == 2 ? other : first, "the same on all");
    } catch (const ConfigError& error) {
      EXPECT_TRUE(error.is_of_all_ranks);
      messages[static_cast<std::size_t>(ranks.rank())] = error.what();
    }
  });
  EXPECT_EQ(messages[0], messages[1]);
  EXPECT_EQ(messages[0], messages[2]);
  return messages[0];
}

TEST(RequireSame, TakesTheSame) {
  EXPECT_EQ(Difference({}, {}), "");
  EXPECT_EQ(Difference({{"a", ""}, {"b", "1\n2"}}, {{"a", ""}, {"b", "1\n2"}}), "");
}

TEST(RequireSame, NamesTheFirstThatDiffers) {
  EXPECT_EQ(Difference({{"a", "1"}, {"b", "2"}, {"c", "3"}}, {{"a", "1"}, {"b", ""}, {"c", "4"}}),
            "b: rank 2 of 3 has ``, rank 0 has `2`; accepted: the same on all");
  EXPECT_EQ(Difference({{"a", "1"}, {"b", "2"}}, {{"b", "2"}}),
            "a: rank 2 of 3 has nothing, rank 0 has `1`; accepted: the same on all");
  EXPECT_EQ(Difference({{"b", "2"}}, {{"a", "1"}, {"b", "2"}}),
            "a: rank 2 of 3 has `1`, rank 0 has nothing; accepted: the same on all");
}

}  // namespace
}  // namespace coat
