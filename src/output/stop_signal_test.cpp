#include "output/stop_signal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>

#include "base/error.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

/// Runs `body` in a process of its own and returns its wait status. Signals that end it then end only that process.
int StatusOf(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(StopSignal, IsNotRequestedWithoutASignal) {
  const StopSignal stop;
  EXPECT_FALSE(stop.requested());
  EXPECT_EQ(stop.number(), 0);
}

TEST(StopSignal, RemembersTheFirstSignal) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) {
    ::signal(number, SIG_DFL);  // tests may run under nohup
    const StopSignal stop;
    ::raise(number);
    EXPECT_TRUE(stop.requested());
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    EXPECT_EQ(stop.number(), number);
  }
}

TEST(StopSignal, TakesASignalThatAnotherThreadReceives) {
  const StopSignal stop;
  std::thread([] { ::raise(SIGTERM); }).join();
  EXPECT_TRUE(stop.requested());
}

TEST(StopSignal, SecondInterruptEndsTheProcess) {
  for (const int first : {SIGINT, SIGTERM}) {
    const int status = StatusOf([&] {
      ::close(STDERR_FILENO);
      const StopSignal stop;
      ::raise(first);
      ::raise(SIGINT);
      return 0;
    });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), kExitInterrupted);
  }
}

TEST(StopSignal, GivesBackTheHandlersThatWereThere) {
  const int status = StatusOf([] {
    { const StopSignal stop; }
    ::raise(SIGTERM);
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);

  auto* const old_handler = ::signal(SIGINT, SIG_IGN);
  { const StopSignal stop; }
  EXPECT_EQ(::signal(SIGINT, old_handler), SIG_IGN);
}

TEST(StopSignal, LetsARunOutliveItsTerminalUnderNohup) {
  auto* const old_handler = ::signal(SIGHUP, SIG_IGN);
  {
    const StopSignal stop;
    ::raise(SIGHUP);
    EXPECT_FALSE(stop.requested());
  }
  ::signal(SIGHUP, old_handler);
}

TEST(StopSignal, ForgetsWhatAnEarlierOneWasAsked) {
  {
    const StopSignal stop;
    ::raise(SIGINT);
  }
  const StopSignal stop;
  EXPECT_FALSE(stop.requested());
}

TEST(StopSignal, IsAloneAtATime) {
  const StopSignal stop;
  EXPECT_THROW(StopSignal(), ArgumentError);
  ::raise(SIGINT);
  EXPECT_TRUE(stop.requested());
}

TEST(IgnoreWriteSignals, TurnsClosedPipesAndSizeLimitsIntoErrors) {
  const TempDir folder;
  const int status = StatusOf([&] {
    IgnoreWriteSignals();
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    ::close(ends[0]);
    if (::write(ends[1], "x", 1) != -1 || errno != EPIPE) return 2;
    const rlimit limit = {0, 0};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
    const int file = ::open(folder.File("file").c_str(), O_WRONLY | O_CREAT, 0666);
    return ::write(file, "x", 1) == -1 && errno == EFBIG ? 0 : 4;
  });
  EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status);
}

}  // namespace
}  // namespace coat
