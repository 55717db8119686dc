// The module coat_mpi.so: the only code that knows MPI. It is loaded where a launcher has started several ranks
// (comm/launch.h), so that the program itself runs where there is no MPI.

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/transport.h"
#include "comm/wait_limit.h"

namespace coat {

namespace {

/// Longer messages travel in pieces of this many bytes: MPI counts in int.
constexpr std::int64_t kMessageBytes = 64 << 20;
constexpr int kTag = 0;

std::string TextOf(int error) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(error, text, &length) != MPI_SUCCESS) return "error " + std::to_string(error);
  return std::string(text, static_cast<std::size_t>(length));
}

std::string InSeconds(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), seconds < 10.0 ? "%.2g s" : "%.0f s", seconds);
  return text.data();
}

// So many ranks exchange small things each with each. More would need more connections than a process may open files.
constexpr int kNamedRanks = 128;
constexpr int kNobody = -1;  // in particular

/// How the ranks of a run are called in messages.
struct Names {
  std::string own;                 // "rank 0 of 2"
  std::vector<std::string> peers;  // by the ranks of a transport: "rank 1 on node7"
};

/// Calls visit(offset, bytes) for each piece of a message.
template <class Visit>
void ForEachPiece(std::int64_t bytes, const Visit& visit) {
  for (std::int64_t offset = 0; offset < bytes; offset += kMessageBytes) {
    visit(offset, static_cast<int>(std::min(kMessageBytes, bytes - offset)));
  }
}

class MpiTransport final : public Transport {
 public:
  /// The ranks of MPI_COMM_WORLD, which end MPI with this object.
  explicit MpiTransport(const WaitLimit& limit) : MpiTransport(MPI_COMM_WORLD, limit) {
    is_run_ = true;
    names_.own = "rank " + std::to_string(rank_) + " of " + std::to_string(size_);
    for (int rank = 0; rank < size_; ++rank) names_.peers.push_back("rank " + std::to_string(rank));
    NameHosts();
  }
  /// Some of them, on a communicator of their own.
  MpiTransport(MPI_Comm comm, const WaitLimit& limit, Names names) : MpiTransport(comm, limit) {
    names_ = std::move(names);
  }

  // MPI_Finalize and MPI_Comm_free wait for the others, who may have failed or wait for this rank elsewhere: after an
  // error they are left out, and the launcher ends the others when it sees this process end without MPI_Finalize.
  ~MpiTransport() override {
    if (has_failed_ || std::uncaught_exceptions() > exceptions_ || !AwaitEndOfAll()) return;
    const int error = is_run_ ? MPI_Finalize() : MPI_Comm_free(&comm_);
    if (error == MPI_SUCCESS) return;
    std::fprintf(stderr, "coat: rank %d of %d: %s failed: %s\n", rank_, size_,
                 is_run_ ? "MPI_Finalize" : "MPI_Comm_free", TextOf(error).c_str());
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void Exchange(std::span<const Outgoing> sends, std::span<const Incoming> receives) override {
    requests_.clear();
    peers_.clear();
    for (const Incoming& message : receives) {
      ForEachPiece(message.bytes, [&](std::int64_t offset, int bytes) {
        requests_.push_back(MPI_REQUEST_NULL);
        Check(MPI_Irecv(message.data + offset, bytes, MPI_BYTE, message.peer, kTag, comm_, &requests_.back()),
              "MPI_Irecv", message.peer);
        peers_.resize(requests_.size(), message.peer);
      });
    }
    for (const Outgoing& message : sends) {
      ForEachPiece(message.bytes, [&](std::int64_t offset, int bytes) {
        requests_.push_back(MPI_REQUEST_NULL);
        Check(MPI_Isend(message.data + offset, bytes, MPI_BYTE, message.peer, kTag, comm_, &requests_.back()),
              "MPI_Isend", message.peer);
        peers_.resize(requests_.size(), message.peer);
      });
    }
    WaitForRequests();
  }

  void AllGather(const std::byte* mine, std::byte* all, std::span<const std::int64_t> bytes) override {
    if (size_ > kNamedRanks && std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}) <= kMessageBytes) {
      return AllGatherAtOnce(mine, all, bytes);
    }
    // Each sends to each, so that a rank that waits knows for whom.
    const std::int64_t length = bytes[static_cast<std::size_t>(rank_)];
    std::vector<Outgoing> sends;
    std::vector<Incoming> receives;
    for (int peer = 0; peer < size_; ++peer) {
      const std::int64_t theirs = bytes[static_cast<std::size_t>(peer)];
      if (peer == rank_) {
        std::copy_n(mine, length, all);
      } else {
        sends.push_back({peer, mine, length});
        receives.push_back({peer, all, theirs});
      }
      all += theirs;
    }
    Exchange(sends, receives);
  }

  std::unique_ptr<Transport> Split(int color) override {
    // MPI_Comm_split waits without a limit: it is called when all are there.
    const std::vector<int> colors = AllGatherOne(color);
    Names names = {names_.own, {}};
    for (std::size_t rank = 0; rank < colors.size(); ++rank) {
      if (colors[rank] == color) names.peers.push_back(names_.peers[rank]);
    }
    MPI_Comm part = MPI_COMM_NULL;
    Check(MPI_Comm_split(comm_, color, rank_, &part), "MPI_Comm_split");
    return std::make_unique<MpiTransport>(part, limit_, std::move(names));
  }

  void Abort(int exit_code) noexcept override {
    std::fflush(stdout);
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  using Host = std::array<char, MPI_MAX_PROCESSOR_NAME + 1>;

  MpiTransport(MPI_Comm comm, const WaitLimit& limit)
      : comm_(comm), limit_(limit), exceptions_(std::uncaught_exceptions()) {
    Check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    Check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
    Check(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
  }

  /// By MPI's own algorithm, which needs few connections a rank: it does not tell who is missing.
  void AllGatherAtOnce(const std::byte* mine, std::byte* all, std::span<const std::int64_t> bytes) {
    const std::vector<int> counts(bytes.begin(), bytes.end());
    std::vector<int> places(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), places.begin(), 0);
    requests_.assign(1, MPI_REQUEST_NULL);
    peers_.assign(1, kNobody);
    Check(MPI_Iallgatherv(mine, counts[static_cast<std::size_t>(rank_)], MPI_BYTE, all, counts.data(), places.data(),
                          MPI_BYTE, comm_, requests_.data()),
          "MPI_Iallgatherv");
    WaitForRequests();
  }

  /// What every rank has of something, by rank.
  template <class Value>
  std::vector<Value> AllGatherOne(const Value& own) {
    std::vector<Value> all(static_cast<std::size_t>(size_));
    AllGather(reinterpret_cast<const std::byte*>(&own), reinterpret_cast<std::byte*>(all.data()),
              std::vector<std::int64_t>(all.size(), sizeof(Value)));
    return all;
  }

  void NameHosts() {
    Host own = {};
    int length = 0;
    Check(MPI_Get_processor_name(own.data(), &length), "MPI_Get_processor_name");
    const std::vector<Host> all = AllGatherOne(own);
    for (std::size_t rank = 0; rank < all.size(); ++rank) names_.peers[rank] += std::string(" on ") + all[rank].data();
  }

  /// Waits for all, since MPI's own end does so without a limit. Says what fails and returns false.
  bool AwaitEndOfAll() noexcept {
    if (!is_run_) return true;
    try {
      AllGatherOne(0);
      return true;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "coat: error: %s\n", error.what());
      return false;
    }
  }

  /// `peer`: the rank that the call was about, or kNobody.
  void Check(int error, const char* call, int peer = kNobody) {
    if (error == MPI_SUCCESS) return;
    has_failed_ = true;
    const std::string with = peer == kNobody ? "the others" : "rank " + std::to_string(peer);
    throw CommError("rank " + std::to_string(rank_) + " of " + std::to_string(size_) + ": " + call + " with " + with +
                    " failed: " + TextOf(error));
  }

  void WaitForRequests() {
    statuses_.resize(requests_.size());
    std::optional<LimitedWait> wait;
    for (int is_done = 0; is_done == 0;) {
      const int error = MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &is_done, statuses_.data());
      if (error == MPI_ERR_IN_STATUS) {
        for (std::size_t i = 0; i < statuses_.size(); ++i) {
          if (statuses_[i].MPI_ERROR != MPI_ERR_PENDING) Check(statuses_[i].MPI_ERROR, "MPI_Testall", peers_[i]);
        }
      }
      Check(error, "MPI_Testall");
      if (is_done != 0) return;
      const LimitedWait::Time now = std::chrono::steady_clock::now();
      if (!wait) wait.emplace(limit_, now);
      const LimitedWait::Look look = wait->At(now);
      if (look == LimitedWait::Look::kWarn) Warn(wait->seconds());
      if (look == LimitedWait::Look::kEnd) GiveUp(wait->seconds());
    }
  }

  /// The peers with which a message is not done, as far as they are known.
  std::set<int> Missing() {
    std::set<int> missing;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int is_done = 1;
      if (requests_[i] != MPI_REQUEST_NULL) {
        Check(MPI_Request_get_status(requests_[i], &is_done, MPI_STATUS_IGNORE), "MPI_Request_get_status", peers_[i]);
      }
      if (is_done == 0 && peers_[i] != kNobody) missing.insert(peers_[i]);
    }
    return missing;
  }

  /// "rank 1 on node7 and 2 others"
  std::string NamesOf(const std::set<int>& peers) const {
    if (peers.empty()) return "others";
    const std::size_t others = peers.size() - 1;
    const std::string first = names_.peers[static_cast<std::size_t>(*peers.begin())];
    return others == 0 ? first : first + " and " + std::to_string(others) + (others == 1 ? " other" : " others");
  }

  /// The first of those that wait speaks for them.
  void Warn(double seconds) {
    const std::set<int> missing = Missing();
    int first = 0;
    while (missing.contains(first)) ++first;
    const bool is_done = missing.empty() && peers_.front() != kNobody;  // meanwhile
    if (first != rank_ || is_done) return;
    std::fprintf(stderr, "coat: warning: %s has waited %s for %s; the run ends after %s (COAT_RANK_TIMEOUT)\n",
                 names_.own.c_str(), InSeconds(seconds).c_str(), NamesOf(missing).c_str(),
                 InSeconds(limit_.end).c_str());
  }

  [[noreturn]] void GiveUp(double seconds) {
    const std::set<int> missing = Missing();
    has_failed_ = true;
    throw CommError(names_.own + ": has waited " + InSeconds(seconds) + " for " + NamesOf(missing) +
                    ", which neither comes nor ends: its process is stopped, or its machine or a file system hangs. "
                    "Where a rank does need so long, COAT_RANK_TIMEOUT in the environment takes more seconds");
  }

  MPI_Comm comm_;
  WaitLimit limit_;
  Names names_;
  bool is_run_ = false;
  int exceptions_;
  bool has_failed_ = false;
  int rank_ = 0;
  int size_ = 1;
  std::vector<MPI_Request> requests_;
  std::vector<int> peers_;  // of the requests
  std::vector<MPI_Status> statuses_;
};

/// Starts MPI in this process. Throws CommError when it has been started before: it cannot be started again.
std::unique_ptr<Transport> StartMpi(const WaitLimit& limit) {
  int is_started = 0;
  if (const int error = MPI_Initialized(&is_started); error != MPI_SUCCESS) {
    throw CommError("MPI_Initialized failed: " + TextOf(error));
  }
  if (is_started != 0) throw CommError("a process joins the ranks of its run once, and this one has done so before");
  int threads = 0;
  if (const int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads); error != MPI_SUCCESS) {
    throw CommError("MPI_Init_thread failed: " + TextOf(error));
  }
  if (threads < MPI_THREAD_FUNNELED) throw CommError("this MPI takes no processes with threads (MPI_THREAD_FUNNELED)");
  return std::make_unique<MpiTransport>(limit);
}

}  // namespace

}  // namespace coat

/// The module's only function (comm/launch.cpp): the ranks that MPI knows of, or null for another version of Transport.
extern "C" __attribute__((visibility("default"))) coat::Transport* CoatStartMpi(int version, coat::WaitLimit limit) {
  return version == coat::Transport::kVersion ? coat::StartMpi(limit).release() : nullptr;
}
