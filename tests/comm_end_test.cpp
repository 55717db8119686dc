// How the ranks of a run end when one of them does: all of them, soon, and with an exit code that is not 0.

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/error_of.h"
#include "tests/support/mpirun.h"

namespace coat {
namespace {

/// "Soon", on a machine that does other things too; a rank that waited for one that is gone would take for ever.
constexpr double kSeconds = 30.0;

MpirunOutcome RunRanks(int ranks, const std::string& how) {
  return Mpirun(ranks, "'" COAT_COMM_PROGRAM "' " + how);
}

void ExpectEnded(const MpirunOutcome& outcome) {
  EXPECT_LT(outcome.seconds, kSeconds) << outcome.err;
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out.find("waited in vain"), std::string::npos) << outcome.out;
}

class EndOfRanks : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!kHasMpirun) GTEST_SKIP() << kNoMpi;
  }
};

TEST_P(EndOfRanks, IsQuietWhenAllIsDone) {
  const MpirunOutcome outcome = RunRanks(GetParam(), "end");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (int rank = 0; rank < GetParam(); ++rank) ExpectParts(outcome.out, {fmt::format("rank {} ends\n", rank)});
  EXPECT_EQ(outcome.err, "");
}

TEST_P(EndOfRanks, HasTheExitCodeOfAbort) {
  const MpirunOutcome outcome = RunRanks(GetParam(), "abort");
  ExpectEnded(outcome);
  EXPECT_EQ(outcome.exit_code, 7) << outcome.err;
}

TEST_P(EndOfRanks, FollowsAnExceptionThatCallsAbort) {
  const MpirunOutcome outcome = RunRanks(GetParam(), "throw");
  ExpectEnded(outcome);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  ExpectParts(outcome.err, {fmt::format("rank {}: the last rank has failed", GetParam() - 1)});
}

// The communicator of the rank that failed is destroyed on the way, and does not wait for the others.
TEST_P(EndOfRanks, FollowsAnExceptionThatCallsNothing) {
  const MpirunOutcome outcome = RunRanks(GetParam(), "unwind");
  ExpectEnded(outcome);
  ExpectParts(outcome.err, {fmt::format("rank {}: the last rank has failed", GetParam() - 1)});
}

TEST_P(EndOfRanks, FollowsARankThatIsKilled) {
  ExpectEnded(RunRanks(GetParam(), "kill"));
}

TEST_P(EndOfRanks, FollowsARankThatLeaves) {
  ExpectEnded(RunRanks(GetParam(), "leave"));
}

// A rank that neither comes nor ends: the others wait as long as they are told to.
TEST_P(EndOfRanks, FollowsARankThatIsStopped) {
  const MpirunOutcome outcome = Mpirun(GetParam(), "env COAT_RANK_TIMEOUT=2 '" COAT_COMM_PROGRAM "' stop");
  ExpectEnded(outcome);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  const std::string last = fmt::format("rank {} on ", GetParam() - 1);
  ExpectParts(outcome.err, {fmt::format("coat: warning: rank 0 of {} has waited 1 s for {}", GetParam(), last),
                            "the run ends after 2 s (COAT_RANK_TIMEOUT)",
                            fmt::format("rank 0 of {}: has waited 2 s for {}", GetParam(), last)});
  const std::size_t warning = outcome.err.find("warning");
  EXPECT_EQ(outcome.err.find("warning", warning + 1), std::string::npos) << outcome.err;
}

// Others wait for it at the end of MPI too.
TEST_P(EndOfRanks, FollowsARankThatIsStoppedAtTheEnd) {
  const MpirunOutcome outcome = Mpirun(GetParam(), "env COAT_RANK_TIMEOUT=2 '" COAT_COMM_PROGRAM "' stop-at-end");
  ExpectEnded(outcome);
  ExpectParts(outcome.err, {fmt::format("has waited 2 s for rank {} on ", GetParam() - 1)});
}

TEST_P(EndOfRanks, ComesBeforeASecondStart) {
  const MpirunOutcome outcome = RunRanks(GetParam(), "twice");
  ExpectEnded(outcome);
  ExpectParts(outcome.err, {"joins the ranks of its run once"});
}

INSTANTIATE_TEST_SUITE_P(Ranks, EndOfRanks, testing::Values(2, 4));

// What a process sees that another MPI's mpirun has started: the other's variables, and nobody to talk to.
TEST(JoinRanks, NoticesTheLauncherOfAnotherMpi) {
  if (!kHasMpirun) GTEST_SKIP() << kNoMpi;
  const MpirunOutcome outcome =
      Mpirun(1, "env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 '" COAT_COMM_PROGRAM "' end");
  EXPECT_EQ(outcome.exit_code, 5);
  ExpectParts(outcome.err, {"mpirun (OMPI_COMM_WORLD_SIZE) says rank 0 of 2", "MPI says rank 0 of 1"});
}

}  // namespace
}  // namespace coat
