#pragma once
// The ranks of a run as processes that this one forks, for what only processes can do: own a GPU each.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/ranks.h"
#include "tests/support/mail_transport.h"

namespace coat {

namespace detail {

/// One rank's sockets to the others. Ranks use their groups in turn and alike, so a socket needs no word of the group.
/// A socket holds the messages of a few tensors of a test; what is longer would wait for its reader.
class SocketMail final : public Mail {
 public:
  /// `sockets[r]` goes to rank r.
  explicit SocketMail(std::vector<int> sockets) : sockets_(std::move(sockets)) {}

  void Put(const Route& route, std::string message) override {
    if (route.from == route.to) {
      own_.push_back(std::move(message));
      return;
    }
    const auto bytes = static_cast<std::int64_t>(message.size());
    Send(route, &bytes, sizeof(bytes));
    Send(route, message.data(), message.size());
  }

  std::string Take(const Route& route, std::int64_t bytes) override {
    std::string message;
    if (route.from == route.to) {
      message = std::move(own_.front());
      own_.pop_front();
    } else {
      std::int64_t sent = 0;
      Receive(route, &sent, sizeof(sent));
      message.resize(static_cast<std::size_t>(sent));
      Receive(route, message.data(), message.size());
    }
    if (static_cast<std::int64_t>(message.size()) == bytes) return message;
    throw CommError(
        fmt::format("rank {}: rank {} has sent {} bytes; expected {}", route.to, route.from, message.size(), bytes));
  }

 private:
  void Send(const Route& route, const void* data, std::size_t bytes) const {
    const ssize_t sent = ::send(sockets_[static_cast<std::size_t>(route.to)], data, bytes, MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes))
      throw CommError(fmt::format("rank {}: rank {} is gone", route.from, route.to));
  }
  void Receive(const Route& route, void* data, std::size_t bytes) const {
    if (bytes == 0) return;
    const ssize_t got = ::recv(sockets_[static_cast<std::size_t>(route.from)], data, bytes, MSG_WAITALL);
    if (got != static_cast<ssize_t>(bytes))
      throw CommError(fmt::format("rank {}: rank {} is gone", route.to, route.from));
  }

  std::vector<int> sockets_;
  std::deque<std::string> own_;
};

/// How many expectations of this test have failed so far, in this process.
inline int CountFailures() {
  const testing::TestResult& result = *testing::UnitTest::GetInstance()->current_test_info()->result();
  int count = 0;
  for (int i = 0; i < result.total_part_count(); ++i) count += result.GetTestPartResult(i).failed() ? 1 : 0;
  return count;
}

}  // namespace detail

/// Calls body(communicator) in `ranks` child processes at once, each with the communicator of its rank, and waits for
/// all; a test fails here if an expectation fails in one of them, or one throws, or they take more than `seconds`. What
/// a child changes in memory is lost. This process must have started no CUDA and no other thread.
inline void RunAsProcesses(int ranks, unsigned seconds, const std::function<void(Communicator&)>& body) {
  const auto count = static_cast<std::size_t>(ranks);
  std::vector<std::vector<int>> sockets(count, std::vector<int>(count, -1));
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = a + 1; b < count; ++b) {
      std::array<int, 2> pair;
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
      sockets[a][b] = pair[0];
      sockets[b][a] = pair[1];
    }
  }
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    ::alarm(seconds);
    const int failures = detail::CountFailures();
    for (int other = 0; other < ranks; ++other) {
      if (other == rank) continue;
      for (const int socket : sockets[static_cast<std::size_t>(other)]) ::close(socket);
    }
    try {
      std::vector<int> members(count);
      std::iota(members.begin(), members.end(), 0);
      detail::SocketMail mail(sockets[static_cast<std::size_t>(rank)]);
      const std::unique_ptr<Communicator> communicator =
          MakeRanks(std::make_unique<detail::MailTransport>(mail, "run", members, rank));
      body(*communicator);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "rank " << rank << " of " << ranks << ": " << error.what();
    }
    std::fflush(nullptr);
    ::_exit(detail::CountFailures() > failures ? 1 : 0);
  }
  for (const std::vector<int>& of_rank : sockets) {
    for (const int socket : of_rank) ::close(socket);
  }
  for (std::size_t ended = 0; ended < count; ++ended) {
    int status = 0;
    const pid_t child = ::wait(&status);
    const auto rank = std::find(children.begin(), children.end(), child) - children.begin();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "rank " << rank << " of " << ranks << " has ended with status " << status;
    if (status == 0) continue;
    for (const pid_t other : children) ::kill(other, SIGKILL);
  }
}

}  // namespace coat
