// A program whose ranks end in the way that its argument names, for tests/comm_end_test.cpp.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "comm/launch.h"

namespace {

/// What the last rank does while the others wait for it; the others never come back from it.
void EndLastRank(coat::Communicator& ranks, const std::string& how) {
  ranks.Barrier();
  if (ranks.rank() == ranks.size() - 1) {
    if (how == "abort") ranks.Abort(7);
    if (how == "kill") ::kill(::getpid(), SIGKILL);
    if (how == "stop") ::kill(::getpid(), SIGSTOP);
    if (how == "leave") std::exit(0);
    throw std::runtime_error("the last rank has failed");
  }
  ranks.Barrier();
  std::puts("waited in vain");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc == 2 ? argv[1] : "";
  std::unique_ptr<coat::Communicator> ranks;
  try {
    ranks = coat::JoinRanks();
    if (how == "twice") {
      ranks.reset();
      coat::JoinRanks();
    } else if (how == "unwind") {
      // The communicator is gone before anybody could call Abort.
      const std::unique_ptr<coat::Communicator> inner = std::move(ranks);
      EndLastRank(*inner, how);
    } else if (how == "stop-at-end") {
      if (ranks->rank() == ranks->size() - 1) ::kill(::getpid(), SIGSTOP);
    } else if (how != "end") {
      EndLastRank(*ranks, how);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", coat::LaunchedRank(), error.what());
    if (ranks) ranks->Abort(3);
    return 5;
  }
  std::printf("rank %d ends\n", coat::LaunchedRank());
  return 0;
}
