#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/system_call.h"

extern char** environ;

namespace coat {

namespace {

/// A pipe, of which what was not taken is closed.
class Pipe {
 public:
  explicit Pipe(const std::string& program) {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw SystemError(program, "started", errno);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int end : ends_) {
      if (end >= 0) ::close(end);
    }
  }

  int reads() const { return ends_[0]; }
  int writes() const { return ends_[1]; }
  int TakeReads() { return std::exchange(ends_[0], -1); }
  int TakeWrites() { return std::exchange(ends_[1], -1); }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments) {
  const std::string& program = arguments.front();
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);

  Pipe to_child(program);
  Pipe from_child(program);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to_child.reads(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, from_child.writes(), STDOUT_FILENO);
  const int error = ::posix_spawnp(&id_, program.c_str(), &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw SystemError(program, "started", error);
  input_ = to_child.TakeWrites();
  output_ = from_child.TakeReads();
}

ChildProcess::~ChildProcess() {
  ::close(input_);
  ::close(output_);
  if (id_ < 0) return;
  ::kill(id_, SIGTERM);
  int status = 0;
  Uninterrupted([&] { return ::waitpid(id_, &status, 0); });
}

bool ChildProcess::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = Uninterrupted([&] { return ::write(input_, bytes.data(), bytes.size()); });
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool ChildProcess::Read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = Uninterrupted([&] { return ::read(output_, bytes.data(), bytes.size()); });
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

std::string ChildProcess::WaitForEnd() {
  int status = 0;
  Uninterrupted([&] { return ::waitpid(id_, &status, 0); });
  id_ = -1;
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace coat
