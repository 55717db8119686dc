#pragma once
// What a run says while it goes on.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace coat {

enum class LogLevel { kInfo, kWarning, kError };

/// Where a Console writes, and what it may write there.
struct ConsoleOptions {
  int descriptor = 1;
  bool is_terminal = false;  // short lines for people, and a progress line
  bool has_color = false;
  bool is_silent = false;  // nothing is written
};

/// A terminal gets short lines and progress unless TERM is "dumb", and colors unless NO_COLOR is set (to anything but
/// nothing: no-color.org). Anything else, a file or a pipe, gets plain log lines alone.
ConsoleOptions DetectConsole(int descriptor);

/// Log lines, and below them on a terminal one line of progress that is drawn over and over in place.
///
/// A line on a terminal is "12:34:56 message". Elsewhere it is OLMo's, in local time, with a tab between its fields:
/// "2024-10-25 12:34:56.789 host:0 logger LEVEL message". Of OLMo's fields the logger's line number is left out: there
/// is no Python source to point into; 0 is the rank on the host. Further lines of a message follow as they are.
///
/// When writing fails (a closed pipe, a full disk) it says so once on standard error and is silent from then on, so
/// that a run of days does not end with its terminal. Not thread-safe.
class Console {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  explicit Console(ConsoleOptions options, Clock clock = std::chrono::system_clock::now);
  /// Takes the progress line away.
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  bool is_terminal() const { return options_.is_terminal; }

  void Log(LogLevel level, std::string_view logger, std::string_view message);
  void Info(std::string_view logger, std::string_view message) { Log(LogLevel::kInfo, logger, message); }
  void Warn(std::string_view logger, std::string_view message) { Log(LogLevel::kWarning, logger, message); }

  /// Shows one line of ASCII text below the log, cut to the width of the terminal, instead of the one before; at most
  /// ten times a second. Does nothing where there is no terminal.
  void ShowProgress(std::string_view text);
  /// Takes the progress line away.
  void ClearProgress();

 private:
  std::string Line(LogLevel level, std::string_view logger, std::string_view message) const;
  std::string DrawnProgress() const;
  void Write(std::string_view text);

  ConsoleOptions options_;
  Clock clock_;
  std::string host_;
  std::string progress_;  // empty: none is shown
  std::chrono::system_clock::time_point last_drawn_{};
  bool is_broken_ = false;
};

}  // namespace coat
