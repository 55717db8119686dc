#include "base/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(ChildProcess, AnswersWhatItIsAsked) {
  ChildProcess child({"cat"});
  for (const std::string_view text : {"one", "a longer text"}) {
    EXPECT_TRUE(child.Write(Bytes(text)));
    std::string answer(text.size(), ' ');
    EXPECT_TRUE(child.Read(std::as_writable_bytes(std::span(answer))));
    EXPECT_EQ(answer, text);
  }
}

TEST(ChildProcess, SaysHowAProgramEndedThatDidNotAnswer) {
  ::signal(SIGPIPE, SIG_IGN);
  std::array<std::byte, 4> answer;
  ChildProcess fails({"sh", "-c", "echo a; exit 3"});
  EXPECT_FALSE(fails.Read(answer));
  EXPECT_EQ(fails.WaitForEnd(), "exit code 3");
  EXPECT_FALSE(fails.Write(Bytes("more")));
  ChildProcess dies({"sh", "-c", "kill -9 $$"});
  EXPECT_FALSE(dies.Read(answer));
  EXPECT_EQ(dies.WaitForEnd(), "signal 9");
}

TEST(ChildProcess, EndsAProgramThatWouldGoOn) {
  const ChildProcess child({"sleep", "1000"});
}

/// The lowest file descriptors that are free.
std::array<int, 5> FreeDescriptors() {
  std::array<int, 5> free = {};
  for (int& descriptor : free) descriptor = ::open("/dev/null", O_RDONLY);
  for (const int descriptor : free) ::close(descriptor);
  return free;
}

TEST(ChildProcess, LeavesNothingOpenWhenItCannotBeStarted) {
  const std::array<int, 5> free = FreeDescriptors();
  ErrorOf([] { ChildProcess({"/no/such/program"}); });
  EXPECT_EQ(FreeDescriptors(), free);

  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const std::size_t pipes : {0u, 1u}) {  // so many of the two can be made
    const rlimit lower = {static_cast<rlim_t>(free[2 * pipes]), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
    EXPECT_EQ(ErrorOf([] { ChildProcess({"true"}); }), "true: cannot be started: Too many open files");
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(FreeDescriptors(), free);
  }
}

TEST(ChildProcess, RefusesAProgramThatIsNotThere) {
  EXPECT_EQ(ErrorOf([] { ChildProcess({"/no/such/program"}); }),
            "/no/such/program: cannot be started: No such file or directory");
}

}  // namespace
}  // namespace coat
