#include "comm/packed.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

using Names = std::vector<std::string>;

TEST(Packed, RoundTripsWhatRanksTellOneAnother) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  const std::string bytes("a\0 :\n", 5);
  const std::vector<std::pair<std::string, std::uint32_t>> pairs = {{"", 0}, {bytes, 7}};
  const std::optional<std::string> none;
  const std::optional<std::string> empty = "";
  const std::string text = Pack(true, kLeast, bytes, Names(), pairs, none, empty);
  EXPECT_EQ((Unpack<bool, std::int64_t, std::string, Names, std::vector<std::pair<std::string, std::uint32_t>>,
                    std::optional<std::string>, std::optional<std::string>>(text)),
            std::tuple(true, kLeast, bytes, Names(), pairs, none, empty));
}

TEST(Packed, RefusesATextOfOtherValues) {
  const std::string text = Pack(Names{"a", "bc"});
  for (std::size_t size = 0; size < text.size(); ++size) {
    ExpectParts(ErrorOf<ArgumentError>([&] { Unpack<Names>(text.substr(0, size)); }), {"ends within a value"});
  }
  ExpectParts(ErrorOf<ArgumentError>([&] { Unpack<Names>(text + "x"); }), {"goes on"});
}

TEST(OfRankZero, GivesAllWhatTheFirstHas) {
  RunAsRanks(3, [](Communicator& ranks) {
    const auto [rank, names] = OfRankZero(ranks, ranks.rank(), Names(3 - static_cast<std::size_t>(ranks.rank()), "x"));
    EXPECT_EQ(rank, 0);
    EXPECT_EQ(names, Names(3, "x"));
  });
}

}  // namespace
}  // namespace coat
