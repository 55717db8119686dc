#pragma once
// Commands as the ranks of a run. Needs coat_use_mpirun (cmake/CoatTargets.cmake), which defines COAT_MPIRUN where
// there is MPI.

#include <fmt/core.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "tests/support/temp_dir.h"

namespace coat {

/// Whether this build has MPI. If not, a test that needs it skips itself: GTEST_SKIP() << kNoMpi.
#ifdef COAT_MPIRUN
inline constexpr bool kHasMpirun = true;
inline constexpr const char* kMpirun = COAT_MPIRUN;
#else
inline constexpr bool kHasMpirun = false;
inline constexpr const char* kMpirun = "false";
#endif
inline constexpr const char* kNoMpi = "this build has no MPI (COAT_MPI)";

struct MpirunOutcome {
  int exit_code = -1;    // of mpirun; -1: a signal ended it, 124: it took longer than allowed
  double seconds = 0.0;  // from start to end
  std::string out;       // of all ranks
  std::string err;
};

/// Runs `command`, in the shell's quoting, as `ranks` ranks and waits for the end of all, or ends them after `seconds`.
inline MpirunOutcome Mpirun(int ranks, const std::string& command, int seconds = 100) {
  const TempDir folder;
  const std::string line = fmt::format("timeout -k 5 {} {} -n {} {} >'{}' 2>'{}' </dev/null", seconds, kMpirun, ranks,
                                       command, folder.File("out"), folder.File("err"));
  const auto start = std::chrono::steady_clock::now();
  const int status = std::system(line.c_str());
  MpirunOutcome outcome;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = folder.Read("out");
  outcome.err = folder.Read("err");
  return outcome;
}

}  // namespace coat
