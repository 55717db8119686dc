#pragma once
// A main for test binaries that run under mpirun as well: with coat_add_mpi_test (cmake/CoatTargets.cmake).

#include <gtest/gtest.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>

#include "comm/launch.h"
#include "tests/support/thread_ranks.h"

namespace coat {

/// The ranks of this binary under mpirun; null: it runs alone.
inline std::unique_ptr<Communicator>& JoinedRanks() {
  static std::unique_ptr<Communicator> ranks;
  return ranks;
}

/// Calls body(communicator) on every rank of the mpirun; without one, on threads as ranks, for each number of them.
/// Under mpirun an exception ends all ranks.
inline void OnRanks(const std::function<void(Communicator&)>& body, std::initializer_list<int> threads = {1, 2, 3, 4}) {
  if (!JoinedRanks()) {
    for (const int ranks : threads) {
      SCOPED_TRACE(ranks);
      RunAsRanks(ranks, body);
    }
    return;
  }
  try {
    body(*JoinedRanks());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", JoinedRanks()->rank(), error.what());
    JoinedRanks()->Abort(1);
  }
}

/// What main does: all tests, on the ranks of the launcher if there is one. Only rank 0 prints what has passed.
inline int RunTestsOnRanks(int argc, char** argv) {
  if (LaunchedRank() > 0) GTEST_FLAG_SET(brief, true);
  testing::InitGoogleTest(&argc, argv);
  std::unique_ptr<Communicator> ranks = JoinRanks();
  if (ranks->size() > 1) JoinedRanks() = std::move(ranks);
  const int failed = RUN_ALL_TESTS();
  JoinedRanks().reset();
  return failed;
}

}  // namespace coat
