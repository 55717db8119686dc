#include "base/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/killed_process.h"

namespace coat {
namespace {

TEST(StandardStreams, ErrorsThatNobodyReadsEndNothing) {
  EXPECT_EQ(ExitStatusOf(Fork([] {
              ::dup2(::open("/dev/full", O_WRONLY), STDERR_FILENO);
              WriteToStandardError("lost");
              ::close(STDERR_FILENO);
              WriteToStandardError("lost");
              return 7;
            })),
            7);
}

TEST(StandardStreams, ThatAreClosedGetNoFileOfOurs) {
  EXPECT_EQ(ExitStatusOf(Fork([] {
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
            })),
            7);
}

}  // namespace
}  // namespace coat
