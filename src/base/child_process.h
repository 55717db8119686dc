#pragma once
// Another program that runs beside this one and is talked to by pipes.

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace coat {

/// A program whose standard input and output are pipes held here; its standard error is ours. Not thread-safe.
///
/// The destructor ends it. Both sides must not write more than a pipe holds while the other does too: ask, then read
/// the answer. The process must ignore SIGPIPE, or a program that has ended ends this one too.
class ChildProcess {
 public:
  /// Starts `arguments[0]`, found as a shell finds it, with these arguments. Throws IoError if it cannot be started.
  explicit ChildProcess(const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Hands it all of `bytes`. False if it reads no more.
  bool Write(std::span<const std::byte> bytes);
  /// Fills all of `bytes` with what it writes. False if it ends before.
  bool Read(std::span<std::byte> bytes);
  /// Waits for its end, after Write or Read has returned false: "exit code 1", "signal 9".
  std::string WaitForEnd();

 private:
  pid_t id_ = -1;  // -1: has ended and been waited for
  int input_ = -1;
  int output_ = -1;
};

}  // namespace coat
