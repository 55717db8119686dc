#pragma once
// A transport of messages that something carries from one rank to another: what threads and processes have in common.

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/transport.h"

namespace coat::detail {

/// Carries messages among the ranks of a run. A group is the run, or what Split made of one.
class Mail {
 public:
  /// Messages from rank `from` of the run to rank `to` within a group, taken in the order in which they were put.
  struct Route {
    std::string group;
    int from = 0;
    int to = 0;
    auto operator<=>(const Route&) const = default;
  };

  virtual ~Mail() = default;
  virtual void Put(const Route& route, std::string message) = 0;
  /// Waits for a message of this length. Throws CommError if none can come any more, or one of another length does.
  virtual std::string Take(const Route& route, std::int64_t bytes) = 0;
};

class MailTransport final : public Transport {
 public:
  MailTransport(Mail& mail, std::string group, std::vector<int> members, int rank)
      : mail_(mail), group_(std::move(group)), members_(std::move(members)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  void Exchange(std::span<const Outgoing> sends, std::span<const Incoming> receives) override {
    for (const Outgoing& message : sends) {
      mail_.Put({group_, Member(rank_), Member(message.peer)},
                {reinterpret_cast<const char*>(message.data), static_cast<std::size_t>(message.bytes)});
    }
    for (const Incoming& message : receives) {
      const std::string bytes = mail_.Take({group_, Member(message.peer), Member(rank_)}, message.bytes);
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
    return std::make_unique<MailTransport>(mail_, group, std::move(members), rank);
  }

  void Abort(int exit_code) noexcept override {
    std::fflush(stdout);
    std::fflush(stderr);
    std::_Exit(exit_code);
  }

 private:
  int Member(int rank) const { return members_[static_cast<std::size_t>(rank)]; }

  Mail& mail_;
  std::string group_;
  std::vector<int> members_;  // the ranks of the run that are the ranks of this group
  int rank_;
  int splits_ = 0;
};

}  // namespace coat::detail
