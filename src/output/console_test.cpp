#include "output/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/support/killed_process.h"

namespace coat {
namespace {

using std::chrono::milliseconds;

/// Everything that can be read from a descriptor without waiting.
std::string ReadAll(int descriptor) {
  std::string text;
  std::array<char, 4096> piece;
  ssize_t count;
  while ((count = ::read(descriptor, piece.data(), piece.size())) > 0) text.append(piece.data(), count);
  return text;
}

/// Two ends of a pipe or of a terminal; what is written to one is read from the other. A terminal has none (-1) on a
/// system without pseudo-terminals, such as a bare chroot.
struct Ends {
  int reading = -1;
  int writing = -1;

  static Ends OfPipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_NONBLOCK), 0);
    return {ends[0], ends[1]};
  }
  static Ends OfTerminal(unsigned short columns) {
    Ends ends;
    const winsize size = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    if (::openpty(&ends.reading, &ends.writing, nullptr, nullptr, &size) == 0) {
      ::fcntl(ends.reading, F_SETFL, O_NONBLOCK);
    }
    return ends;
  }
  Ends() = default;
  Ends(int reading_end, int writing_end) : reading(reading_end), writing(writing_end) {}
  Ends(Ends&& other) noexcept : reading(std::exchange(other.reading, -1)), writing(std::exchange(other.writing, -1)) {}
  ~Ends() {
    if (reading >= 0) ::close(reading);
    if (writing >= 0) ::close(writing);
  }
};

class ConsoleTest : public testing::Test {
 protected:
  ConsoleTest() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
  }
  Console::Clock Clock() {
    return [this] { return now_; };
  }
  static std::string Host() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
  }

  std::chrono::system_clock::time_point now_{milliseconds(1729859696007)};  // 2024-10-25 12:34:56.007 UTC
};

TEST_F(ConsoleTest, LogsOlmosLinesToAPipeAndNothingElse) {
  const Ends ends = Ends::OfPipe();
  const ConsoleOptions options = DetectConsole(ends.writing);
  EXPECT_FALSE(options.is_terminal);
  EXPECT_FALSE(options.has_color);
  {
    Console console(options, Clock());
    console.ShowProgress("step 1/2");
    console.Info("train", "[step=1/2,epoch=0]\n    train/CrossEntropyLoss=3.214");
    console.Warn("data", "short");
    console.Log(LogLevel::kError, "data", "wrong");
    console.ShowProgress("step 2/2");
    console.ClearProgress();
    console.ShowProgress("step 2/2");
  }
  const std::string start = "2024-10-25 12:34:56.007\t" + Host() + ":0\t";
  EXPECT_EQ(ReadAll(ends.reading), start + "train\tINFO\t[step=1/2,epoch=0]\n    train/CrossEntropyLoss=3.214\n" +
                                       start + "data\tWARNING\tshort\n" + start + "data\tERROR\twrong\n");
}

TEST_F(ConsoleTest, TakesMillisecondsBeforeTheEpochFromTheSecondBefore) {
  now_ = std::chrono::system_clock::time_point(milliseconds(-1));
  const Ends ends = Ends::OfPipe();
  Console(DetectConsole(ends.writing), Clock()).Info("train", "x");
  EXPECT_EQ(ReadAll(ends.reading).substr(0, 23), "1969-12-31 23:59:59.999");
}

TEST_F(ConsoleTest, DrawsProgressInPlaceBelowTheLogOnATerminal) {
  const Ends ends = Ends::OfTerminal(80);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  ::setenv("NO_COLOR", "1", 1);
  Console console(DetectConsole(ends.writing), Clock());
  EXPECT_TRUE(console.is_terminal());
  console.ShowProgress("step 1/2");
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[Kstep 1/2");
  console.Warn("train", "message");  // the terminal makes \r\n of a newline
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[K12:34:56 warning: message\r\nstep 1/2");
  console.ClearProgress();
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[K");
  console.Info("train", "message");
  EXPECT_EQ(ReadAll(ends.reading), "12:34:56 message\r\n");
  console.ClearProgress();
  EXPECT_EQ(ReadAll(ends.reading), "");
}

TEST_F(ConsoleTest, DrawsAtMostTenTimesASecondButLogsTheLatestProgress) {
  const Ends ends = Ends::OfTerminal(80);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  Console console(DetectConsole(ends.writing), Clock());
  console.ShowProgress("one");
  now_ += milliseconds(99);
  console.ShowProgress("two");
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[Kone");
  console.Info("train", "message");
  EXPECT_NE(ReadAll(ends.reading).find("message\r\ntwo"), std::string::npos);
  now_ += milliseconds(1);
  console.ShowProgress("three");
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[Kthree");
  now_ -= std::chrono::hours(1);  // a clock that is set back does not stop the line
  console.ShowProgress("four");
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[Kfour");
}

TEST_F(ConsoleTest, CutsProgressToTheWidthOfTheTerminal) {
  const Ends ends = Ends::OfTerminal(10);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  Console console(DetectConsole(ends.writing), Clock());
  console.ShowProgress("0123456789abc");
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[K012345678");
}

TEST_F(ConsoleTest, TakesTheProgressLineAwayAtTheEnd) {
  const Ends ends = Ends::OfTerminal(80);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  { Console(DetectConsole(ends.writing), Clock()).ShowProgress("step 1/2"); }
  EXPECT_EQ(ReadAll(ends.reading), "\r\x1b[Kstep 1/2\r\x1b[K");
}

TEST_F(ConsoleTest, ColorsWarningsUnlessToldNotTo) {
  const Ends ends = Ends::OfTerminal(80);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  Console(DetectConsole(ends.writing), Clock()).Warn("train", "message");
  EXPECT_EQ(ReadAll(ends.reading), "\x1b[2m12:34:56\x1b[0m \x1b[33mwarning: \x1b[0mmessage\r\n");
  ::setenv("NO_COLOR", "", 1);  // set to nothing does not count
  EXPECT_TRUE(DetectConsole(ends.writing).has_color);
  ::setenv("NO_COLOR", "0", 1);
  EXPECT_FALSE(DetectConsole(ends.writing).has_color);
}

TEST_F(ConsoleTest, TreatsADumbTerminalAsAFile) {
  const Ends ends = Ends::OfTerminal(80);
  if (ends.writing < 0) GTEST_SKIP() << "needs a pseudo-terminal (/dev/pts)";
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(DetectConsole(ends.writing).is_terminal);
}

TEST_F(ConsoleTest, SaysOnceThatItCannotWriteAndGoesOn) {
  Ends ends = Ends::OfPipe();
  ::close(std::exchange(ends.reading, -1));
  auto* const old_handler = ::signal(SIGPIPE, SIG_IGN);
  testing::internal::CaptureStderr();
  Console console({.descriptor = ends.writing}, Clock());
  console.Info("train", "one");
  console.Info("train", "two");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "coat: warning: the log cannot be written any more: Broken pipe\n");
  ::signal(SIGPIPE, old_handler);
}

TEST_F(ConsoleTest, GoesOnWhereStandardErrorIsClosedToo) {
  EXPECT_EQ(ExitStatusOf(Fork([this] {
              ::close(STDERR_FILENO);
              Console console({.descriptor = -1}, Clock());
              console.Info("train", "one");
              return 7;
            })),
            7);
}

TEST_F(ConsoleTest, WaitsForAReaderThatIsSlow) {
  const Ends ends = Ends::OfPipe();  // does not block, so that a full pipe is EAGAIN
  ::fcntl(ends.writing, F_SETPIPE_SZ, 4096);
  const pid_t child = ::fork();
  if (child == 0) {
    Console console({.descriptor = ends.writing}, Clock());
    console.Info("train", std::string(100000, 'x'));
    ::_exit(0);
  }
  std::string text;
  for (int attempt = 0; attempt < 5000 && !text.ends_with("x\n"); ++attempt) {
    text += ReadAll(ends.reading);
    ::usleep(1000);
  }
  EXPECT_GT(text.size(), 100000u);
  EXPECT_TRUE(text.ends_with("x\n"));
}

}  // namespace
}  // namespace coat
