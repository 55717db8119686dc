#include "base/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace coat {
namespace {

/// The exit code of a process of its own that runs `body`; -1 if a signal ended it.
int ExitCodeOf(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StandardStreams, ErrorsThatNobodyReadsEndNothing) {
  EXPECT_EQ(ExitCodeOf([] {
              ::dup2(::open("/dev/full", O_WRONLY), STDERR_FILENO);
              WriteToStandardError("lost");
              ::close(STDERR_FILENO);
              WriteToStandardError("lost");
              return 7;
            }),
            7);
}

TEST(StandardStreams, ThatAreClosedGetNoFileOfOurs) {
  EXPECT_EQ(ExitCodeOf([] {
              for (const int closed : {STDIN_FILENO, STDERR_FILENO}) ::close(closed);
              const int output_before = ::fcntl(STDOUT_FILENO, F_GETFD);
              OccupyStandardDescriptors();
              const int file = ::open("/dev/zero", O_RDONLY);
              if (file <= STDERR_FILENO) return 1;
              char byte = 0;
              if (::read(STDIN_FILENO, &byte, 1) != 0) return 2;
              if (::write(STDERR_FILENO, &byte, 1) != -1) return 3;
              if (output_before == -1 || ::fcntl(STDOUT_FILENO, F_GETFD) == -1) return 4;
              return 7;
            }),
            7);
}

}  // namespace
}  // namespace coat
