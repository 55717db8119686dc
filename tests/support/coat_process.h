#pragma once
// The built `coat` in a process of its own. Needs COAT_BINARY (tools/CMakeLists.txt).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {

struct Outcome {
  int exit_code = -1;  // -1: a signal ended it
  std::string out;
  std::string err;
};

/// A running command, whose output goes to files of its own.
class CoatProcess {
 public:
  /// `prepare` is called in the new process first.
  explicit CoatProcess(
      std::vector<std::string> arguments, const std::function<void()>& prepare = [] {}) {
    arguments.insert(arguments.begin(), COAT_BINARY);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const int out = ::open(folder_.File("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    const int err = ::open(folder_.File("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    id_ = ::fork();
    if (id_ == 0) {
      ::dup2(out, STDOUT_FILENO);
      ::dup2(err, STDERR_FILENO);
      prepare();
      ::execv(pointers[0], pointers.data());
      ::_exit(99);
    }
    ::close(out);
    ::close(err);
  }

  void Signal(int number) const { ::kill(id_, number); }
  std::string OutputSoFar() const { return folder_.Read("out"); }

  bool IsRunning() const {
    siginfo_t end = {};
    ::waitid(P_PID, static_cast<id_t>(id_), &end, WEXITED | WNOHANG | WNOWAIT);
    return end.si_pid == 0;
  }

  /// Waits until the process has printed `text`; fails the test if it ends without.
  void AwaitOutput(const std::string& text) const {
    for (;;) {
      const bool is_running = IsRunning();
      if (OutputSoFar().find(text) != std::string::npos) return;
      ASSERT_TRUE(is_running) << "ended without " << text << ": " << folder_.Read("err");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  /// Waits for the end. Once.
  Outcome Wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(id_, &status, 0), id_);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, folder_.Read("out"), folder_.Read("err")};
  }

 private:
  TempDir folder_;
  pid_t id_ = -1;
};

inline Outcome RunCoat(
    std::vector<std::string> arguments, const std::function<void()>& prepare = [] {}) {
  return CoatProcess(std::move(arguments), prepare).Wait();
}

/// Expects one line "coat: error: ..." with the parts as the last on standard error, and the exit code.
inline void ExpectFailure(const Outcome& outcome, int exit_code, std::initializer_list<std::string_view> parts) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  const std::size_t at = outcome.err.find("coat: error: ");
  ASSERT_NE(at, std::string::npos) << outcome.err;
  const std::string line = outcome.err.substr(at);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << outcome.err;
  ExpectParts(line, parts);
}

}  // namespace coat
