#pragma once
// The ranks of a run as threads of this process: everything that several ranks do, without MPI.

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/ranks.h"

namespace coat {

namespace detail {

/// Where the threads of a run hand messages to one another. A group is the run, or what Split made of one.
class Mailbox {
 public:
  /// Messages from thread `from` to thread `to` within a group, taken in the order in which they were put.
  struct Route {
    std::string group;
    int from = 0;
    int to = 0;
    auto operator<=>(const Route&) const = default;
  };

  void Put(const Route& route, std::string message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_[route].push_back(std::move(message));
    changed_.notify_all();
  }

  /// Waits for a message of this length. Throws CommError if none can come any more, or one of another length does.
  std::string Take(const Route& route, std::int64_t bytes) {
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

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(Mailbox& mailbox, std::string group, std::vector<int> members, int rank)
      : mailbox_(mailbox), group_(std::move(group)), members_(std::move(members)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  void Exchange(std::span<const Outgoing> sends, std::span<const Incoming> receives) override {
    for (const Outgoing& message : sends) {
      mailbox_.Put({group_, Thread(rank_), Thread(message.peer)},
                   {reinterpret_cast<const char*>(message.data), static_cast<std::size_t>(message.bytes)});
    }
    for (const Incoming& message : receives) {
      const std::string bytes = mailbox_.Take({group_, Thread(message.peer), Thread(rank_)}, message.bytes);
      std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), message.data);
    }
  }

  void AllGather(const std::byte* mine, std::byte* all, std::span<const std::int64_t> bytes) override {
    std::vector<Outgoing> sends;
    std::vector<Incoming> receives;
    for (int rank = 0; rank < size(); ++rank) {
      sends.push_back({rank, mine, bytes[static_cast<std::size_t>(rank_)]});
      receives.push_back({rank, all, bytes[static_cast<std::size_t>(rank)]});
      all += receives.back().bytes;
    }
    Exchange(sends, receives);
  }

  std::unique_ptr<Transport> Split(int color) override {
    std::vector<int> colors(members_.size());
    AllGather(reinterpret_cast<const std::byte*>(&color), reinterpret_cast<std::byte*>(colors.data()),
              std::vector<std::int64_t>(members_.size(), sizeof(color)));
    std::vector<int> members;
    int rank = 0;
    for (std::size_t i = 0; i < colors.size(); ++i) {
      if (static_cast<int>(i) == rank_) rank = static_cast<int>(members.size());
      if (colors[i] == color) members.push_back(members_[i]);
    }
    const std::string group = fmt::format("{}/{}:{}", group_, splits_++, color);
    return std::make_unique<ThreadTransport>(mailbox_, group, std::move(members), rank);
  }

  void Abort(int exit_code) noexcept override {
    std::fflush(stdout);
    std::fflush(stderr);
    std::_Exit(exit_code);
  }

 private:
  int Thread(int rank) const { return members_[static_cast<std::size_t>(rank)]; }

  Mailbox& mailbox_;
  std::string group_;
  std::vector<int> members_;  // the threads that are the ranks of this group
  int rank_;
  int splits_ = 0;
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
            MakeRanks(std::make_unique<detail::ThreadTransport>(mailbox, "run", all, rank));
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
