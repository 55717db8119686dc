#pragma once
// The ranks of a run as threads of this process: everything that several ranks do, without MPI.

#include <fmt/core.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/ranks.h"
#include "tests/support/mail_transport.h"

namespace coat {

namespace detail {

/// Where the threads of a run hand messages to one another.
class Mailbox final : public Mail {
 public:
  void Put(const Route& route, std::string message) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_[route].push_back(std::move(message));
    changed_.notify_all();
  }

  std::string Take(const Route& route, std::int64_t bytes) override {
    std::unique_lock<std::mutex> lock(mutex_);
    std::deque<std::string>& queue = messages_[route];
    changed_.wait(lock, [&] { return !queue.empty() || error_ || ended_.contains(route.from); });
    if (queue.empty() || error_) throw CommError(fmt::format("rank {}: rank {} is gone", route.to, route.from));
    std::string message = std::move(queue.front());
    queue.pop_front();
    if (static_cast<std::int64_t>(message.size()) != bytes) {
      throw CommError(
          fmt::format("rank {}: rank {} has sent {} bytes; expected {}", route.to, route.from, message.size(), bytes));
    }
    return message;
  }

  /// This thread sends nothing more; `error` is why, if it failed. The first error ends the waits of all.
  void End(int rank, std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_.insert(rank);
    if (!error_) error_ = std::move(error);
    changed_.notify_all();
  }

  const std::exception_ptr& error() const { return error_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Route, std::deque<std::string>> messages_;
  std::set<int> ended_;
  std::exception_ptr error_;
};

}  // namespace detail

/// Calls body(communicator) on `ranks` threads at once, each with the communicator of its rank, whose tensors are on
/// kCpu, and waits for all. The sums are those of MPI ranks, bit for bit: only what carries the bytes is another.
///
/// When one of them throws, or ends while another waits for it, the others' waits end with CommError; the first
/// exception is thrown here. Abort ends this process.
inline void RunAsRanks(int ranks, const std::function<void(Communicator&)>& body) {
  detail::Mailbox mailbox;
  std::vector<int> all(static_cast<std::size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      std::exception_ptr error;
      try {
        const std::unique_ptr<Communicator> communicator =
            MakeRanks(std::make_unique<detail::MailTransport>(mailbox, "run", all, rank));
        body(*communicator);
      } catch (...) {
        error = std::current_exception();
      }
      mailbox.End(rank, error);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (mailbox.error()) std::rethrow_exception(mailbox.error());
}

}  // namespace coat
