#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/start_thread.h"

namespace coat {

namespace {

/// Rounds of polling before a thread sleeps: long enough to bridge the gap between two ops of a step.
constexpr int kSpins = 4000;

int CoresOfThisProcess() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// What a thread of the pool is about. The caller asks idle ones for help; one that has not begun when all indices are
/// taken is not waited for but excused.
enum class Phase : int { kIdle, kAsked, kAtWork, kToEnd };

/// On a cache line of its own: threads poll it.
struct alignas(64) Worker {
  std::atomic<Phase> phase{Phase::kIdle};
  std::thread thread;

  /// Returns once the phase is not `old`: polls for a while, then sleeps.
  void AwaitChange(Phase old) const {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (phase.load(std::memory_order_acquire) != old) return;
      Pause();
    }
    phase.wait(old, std::memory_order_acquire);
  }
  void Enter(Phase next) {
    phase.store(next, std::memory_order_release);
    phase.notify_one();
  }
  /// Whether the thread goes from being asked to `next`, which is to be tried once by it and once by the caller.
  bool Leaves(Phase next) {
    Phase asked = Phase::kAsked;
    return phase.compare_exchange_strong(asked, next, std::memory_order_acq_rel);
  }
};

}  // namespace

struct ThreadPool::State {
  explicit State(std::size_t others) : workers(others) {}
  ~State() {
    for (Worker& worker : workers) worker.Enter(Phase::kToEnd);
    for (Worker& worker : workers) {
      if (worker.thread.joinable()) worker.thread.join();  // not where it could not be started
    }
  }

  std::vector<Worker> workers;  // but the caller's
  alignas(64) std::atomic<std::int64_t> next{0};
  // Of the loop that is going on. Threads read them at work, and the caller writes them when none is.
  std::int64_t count = 0;
  const std::function<void(std::int64_t, int)>* body = nullptr;
  std::mutex error_mutex;
  std::exception_ptr error;

  void Work(int worker) {
    try {
      for (std::int64_t index = next.fetch_add(1); index < count; index = next.fetch_add(1)) (*body)(index, worker);
    } catch (...) {
      next.store(count);
      const std::lock_guard<std::mutex> lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }

  void Loop(Worker& self, int worker) {
    while (true) {
      self.AwaitChange(Phase::kIdle);
      if (self.phase.load(std::memory_order_acquire) == Phase::kToEnd) return;
      if (!self.Leaves(Phase::kAtWork)) continue;  // excused
      Work(worker);
      self.Enter(Phase::kIdle);
    }
  }
};

ThreadPool::ThreadPool(int threads) {
  const int size = threads > 0 ? threads : CoresOfThisProcess();
  state_ = std::make_unique<State>(static_cast<std::size_t>(size - 1));
  for (int worker = 1; worker < size; ++worker) {
    Worker& self = state_->workers[static_cast<std::size_t>(worker - 1)];
    const auto loop = [state = state_.get(), &self, worker] { state->Loop(self, worker); };
    self.thread = StartThread("computing", [&] { return std::thread(loop); });
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::size() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::Run(std::int64_t count, const std::function<void(std::int64_t, int)>& body) {
  State& state = *state_;
  const auto others =
      static_cast<std::size_t>(std::clamp<std::int64_t>(count - 1, 0, static_cast<std::int64_t>(state.workers.size())));
  if (others == 0) {
    for (std::int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  state.count = count;
  state.body = &body;
  state.next.store(0);
  const std::span<Worker> asked = std::span(state.workers).first(others);
  for (Worker& worker : asked) worker.Enter(Phase::kAsked);
  state.Work(0);
  for (Worker& worker : asked) {
    if (worker.Leaves(Phase::kIdle)) continue;
    while (worker.phase.load(std::memory_order_acquire) == Phase::kAtWork) worker.AwaitChange(Phase::kAtWork);
  }
  if (state.error) std::rethrow_exception(std::exchange(state.error, nullptr));
}

}  // namespace coat
