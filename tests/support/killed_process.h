#pragma once
// Child processes that are killed at a system call of one's choice, or whose system calls fail.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

namespace coat {

/// Exit status of a child that this machine does not let do what it must.
inline constexpr int kNotAllowed = 77;

/// Makes the named system calls of this process fail with `error_number` from now on. False if that is not allowed
/// here.
inline bool FailSystemCalls(const std::vector<long>& calls, int error_number) {
  std::vector<sock_filter> program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog whole = {.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

/// Forks a child that runs `body` and exits with its result; 1 for an exception or a failed expectation.
inline ::pid_t Fork(const std::function<int()>& body) {
  const bool had_failure = ::testing::Test::HasFailure();
  const ::pid_t child = ::fork();
  if (child != 0) return child;
  int status = 1;
  try {
    status = body();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  if (status == 0 && !had_failure && ::testing::Test::HasFailure()) status = 1;
  ::_exit(status);
}

inline int ExitStatusOf(::pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Runs `body` in a child and kills it as it enters its system call number `count` (from 0). Returns -1 if it was
/// killed, its exit status if it had fewer calls.
inline int KillAtSystemCall(int count, const std::function<int()>& body) {
  const ::pid_t child = Fork([&] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return kNotAllowed;
    ::raise(SIGSTOP);
    return body();
  });
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  bool enters = true;  // each call stops twice: as it is entered and as it returns
  for (;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    if (WIFSIGNALED(status)) return 1;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (enters && count-- == 0) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return -1;
    }
    enters = !enters;
  }
}

}  // namespace coat
