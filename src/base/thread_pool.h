#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace coat {

/// A fixed set of threads that share loops.
///
/// Run(count, body) calls body(index, worker) once for each index in [0, count), on the pool's threads and the
/// caller's; worker is in [0, size()). Which thread takes which index is not fixed, so a body writes only to its own
/// index's results; then results do not depend on the number of threads. No more threads than indices are asked for
/// help, and those that have not come when the others are done are not waited for, so that more threads than a loop or
/// the cores can use cost little. Calls come from one thread at a time and do not nest.
class ThreadPool {
 public:
  /// `threads` 0 means one a core that this process may use. Throws Error where the system starts no more threads.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  void Run(std::int64_t count, const std::function<void(std::int64_t index, int worker)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace coat
