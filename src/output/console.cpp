#include "output/console.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/standard_streams.h"
#include "base/system_call.h"

namespace coat {

namespace {

constexpr std::chrono::milliseconds kRedrawInterval(100);
constexpr std::string_view kEraseLine = "\r\x1b[K";
constexpr std::string_view kYellow = "\x1b[33m", kRed = "\x1b[31m", kDim = "\x1b[2m", kPlain = "\x1b[0m";

bool IsSet(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::size_t ColumnsOf(int descriptor) {
  winsize size = {};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

struct LocalTime {
  std::tm calendar = {};
  int milliseconds = 0;
};

LocalTime ToLocalTime(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t count = std::chrono::system_clock::to_time_t(seconds);
  LocalTime local;
  ::localtime_r(&count, &local.calendar);
  local.milliseconds = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds).count());
  return local;
}

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      return "ERROR";
  }
  return "?";
}

/// What stands before the message on a terminal.
std::string_view MarkOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "";
    case LogLevel::kWarning:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
  }
  return "";
}

}  // namespace

ConsoleOptions DetectConsole(int descriptor) {
  const char* const terminal = std::getenv("TERM");
  const bool is_dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  const bool is_terminal = ::isatty(descriptor) == 1 && !is_dumb;
  return {.descriptor = descriptor, .is_terminal = is_terminal, .has_color = is_terminal && !IsSet("NO_COLOR")};
}

Console::Console(ConsoleOptions options, Clock clock)
    : options_(options), clock_(std::move(clock)), host_(HostName()) {}

Console::~Console() {
  ClearProgress();
}

void Console::Log(LogLevel level, std::string_view logger, std::string_view message) {
  if (options_.is_silent) return;
  const std::string_view erase = progress_.empty() ? "" : kEraseLine;
  Write(fmt::format("{}{}\n{}", erase, Line(level, logger, message), DrawnProgress()));
}

void Console::ShowProgress(std::string_view text) {
  if (!options_.is_terminal || text.empty()) return;
  const auto now = clock_();
  const bool is_first = progress_.empty();
  progress_ = text;
  if (!is_first && now >= last_drawn_ && now - last_drawn_ < kRedrawInterval) return;
  last_drawn_ = now;
  Write(fmt::format("{}{}", kEraseLine, DrawnProgress()));
}

void Console::ClearProgress() {
  if (progress_.empty()) return;
  progress_.clear();
  Write(kEraseLine);
}

std::string Console::Line(LogLevel level, std::string_view logger, std::string_view message) const {
  const LocalTime time = ToLocalTime(clock_());
  const std::tm& day = time.calendar;
  const std::string clock_time = fmt::format("{:02}:{:02}:{:02}", day.tm_hour, day.tm_min, day.tm_sec);
  if (options_.is_terminal) {
    if (!options_.has_color) return fmt::format("{} {}{}", clock_time, MarkOf(level), message);
    const std::string_view color = level == LogLevel::kInfo ? "" : level == LogLevel::kWarning ? kYellow : kRed;
    return fmt::format("{}{}{} {}{}{}{}", kDim, clock_time, kPlain, color, MarkOf(level), color.empty() ? "" : kPlain,
                       message);
  }
  return fmt::format("{:04}-{:02}-{:02} {}.{:03}\t{}:0\t{}\t{}\t{}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday,
                     clock_time, time.milliseconds, host_, logger, NameOf(level), message);
}

std::string Console::DrawnProgress() const {
  // The last column stays free: a terminal may begin a new line once it is full, which could not be erased.
  return progress_.substr(0, ColumnsOf(options_.descriptor) - 1);
}

void Console::Write(std::string_view text) {
  while (!is_broken_ && !text.empty()) {
    const ssize_t count = ::write(options_.descriptor, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd room = {.fd = options_.descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      is_broken_ = true;
      WriteToStandardError(fmt::format("coat: warning: the log cannot be written any more: {}\n", SystemReason(errno)));
    }
  }
}

}  // namespace coat
