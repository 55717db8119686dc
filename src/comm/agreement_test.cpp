#include "comm/agreement.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/solo.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

/// What each of three ranks says when `work` fails as it does: all must throw `Thrown`.
template <class Thrown>
std::vector<std::string> MessagesOf(const std::function<void(int rank)>& work) {
  std::vector<std::string> messages(3);
  RunAsRanks(3, [&](Communicator& ranks) {
    messages[static_cast<std::size_t>(ranks.rank())] =
        ErrorOf<Thrown>([&] { Together(ranks, [&] { work(ranks.rank()); }); });
  });
  return messages;
}

using Messages = std::vector<std::string>;

TEST(Agreement, OneThatFailsFailsAllWithItsRankAndItsClass) {
  const auto only_second = [](int rank) {
    if (rank == 1) throw IoError("the disk is full");
  };
  EXPECT_EQ(MessagesOf<IoError>(only_second), Messages(3, "rank 1: the disk is full"));
  const auto all_but_first = [](int rank) {
    if (rank > 0) throw ConfigError("no such key " + std::to_string(rank));
  };
  EXPECT_EQ(MessagesOf<ConfigError>(all_but_first), Messages(3, "rank 1: no such key 1 (and 1 other rank failed)"));
}

TEST(Agreement, SaysWhatARankWithoutMemoryNeeds) {
  const auto only_second = [](int rank) {
    if (rank == 1) throw std::bad_alloc();
  };
  EXPECT_EQ(MessagesOf<Error>(only_second), Messages(3, "rank 1: " + std::string(kOutOfMemory)));
}

TEST(Agreement, WhatAllSayAlikeIsSaidWithoutARank) {
  EXPECT_EQ(MessagesOf<UsageError>([](int) { throw UsageError("what?"); }), Messages(3, "what?"));
  EXPECT_EQ(MessagesOf<TrainingError>([](int) { throw TrainingError("+"); }), Messages(3, "+"));
  EXPECT_EQ(MessagesOf<ArgumentError>([](int) { throw ArgumentError(""); }), Messages(3, ""));
  EXPECT_EQ(MessagesOf<Error>([](int) { throw std::runtime_error("of the library"); }), Messages(3, "of the library"));
}

TEST(Agreement, GivesEachRankTheTextsOfAll) {
  RunAsRanks(3, [](Communicator& ranks) {
    Agreement agreement(ranks);
    agreement.Try([] {});
    EXPECT_EQ(agreement.Meet("+" + std::to_string(ranks.rank())), (Messages{"+0", "+1", "+2"}));
    EXPECT_EQ(agreement.Meet(), Messages(3, ""));
  });
}

TEST(Agreement, DoesNothingMoreOnARankThatHasFailed) {
  RunAsRanks(2, [](Communicator& ranks) {
    Agreement agreement(ranks);
    int done = 0;
    agreement.Try([&] {
      if (ranks.rank() == 0) throw IoError("first");
      ++done;
    });
    agreement.Try([&] { ++done; });
    EXPECT_EQ(done, ranks.rank() == 0 ? 0 : 2);
    EXPECT_EQ(ErrorOf([&] { agreement.Meet(); }), "rank 0: first");
  });
}

TEST(Agreement, OfOneRankThrowsWhatWasThrownWhereItWas) {
  const std::unique_ptr<Communicator> solo = MakeSolo();
  Agreement agreement(*solo);
  EXPECT_THROW(agreement.Try([] { throw std::logic_error("mine"); }), std::logic_error);
  EXPECT_EQ(agreement.Meet("x"), Messages{"x"});
}

TEST(Agreement, DoesNotMeetThoseThatAreGone) {
  EXPECT_EQ(ErrorOf<CommError>([] {
              RunAsRanks(2, [](Communicator& ranks) {
                Together(ranks, [&] {
                  if (ranks.rank() == 1) throw CommError("the connection is lost");
                });
              });
            }),
            "the connection is lost");
}

}  // namespace
}  // namespace coat
