#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

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

/// Returns once `value` is not `old`: polls for a while, then sleeps.
void AwaitChange(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> generation{0};
  std::atomic<std::uint32_t> finished{0};
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> stop{false};
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

  void Loop(int worker) {
    for (std::uint32_t seen = 0;; ++seen) {
      AwaitChange(generation, seen);
      if (stop.load(std::memory_order_acquire)) return;
      Work(worker);
      finished.fetch_add(1, std::memory_order_release);
      finished.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int size = threads > 0 ? threads : CoresOfThisProcess();
  for (int worker = 1; worker < size; ++worker) {
    state_->threads.emplace_back([state = state_.get(), worker] { state->Loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

int ThreadPool::size() const {
  return static_cast<int>(state_->threads.size()) + 1;
}

void ThreadPool::Run(std::int64_t count, const std::function<void(std::int64_t, int)>& body) {
  if (count <= 1 || state_->threads.empty()) {
    for (std::int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  State& state = *state_;
  state.count = count;
  state.body = &body;
  state.next.store(0);
  state.finished.store(0);
  state.generation.fetch_add(1, std::memory_order_release);
  state.generation.notify_all();
  state.Work(0);
  const auto others = static_cast<std::uint32_t>(state.threads.size());
  for (std::uint32_t done = state.finished.load(std::memory_order_acquire); done != others;
       done = state.finished.load(std::memory_order_acquire)) {
    AwaitChange(state.finished, done);
  }
  if (state.error) std::rethrow_exception(std::exchange(state.error, nullptr));
}

}  // namespace coat
