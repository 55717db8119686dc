// The module coat_mpi.so: the only code that knows MPI. It is loaded where a launcher has started several ranks
// (comm/launch.h), so that the program itself runs where there is no MPI.

#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/transport.h"

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

/// Calls visit(offset, bytes) for each piece of a message.
template <class Visit>
void ForEachPiece(std::int64_t bytes, const Visit& visit) {
  for (std::int64_t offset = 0; offset < bytes; offset += kMessageBytes) {
    visit(offset, static_cast<int>(std::min(kMessageBytes, bytes - offset)));
  }
}

class MpiTransport final : public Transport {
 public:
  /// The ranks of `comm`; with `is_run`, those of MPI_COMM_WORLD, which end MPI with this object.
  MpiTransport(MPI_Comm comm, bool is_run) : comm_(comm), is_run_(is_run), exceptions_(std::uncaught_exceptions()) {
    Check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    Check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
    Check(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
  }

  // MPI_Finalize and MPI_Comm_free wait for the others, who may have failed or wait for this rank elsewhere: after an
  // error they are left out, and the launcher ends the others when it sees this process end without MPI_Finalize.
  ~MpiTransport() override {
    if (has_failed_ || std::uncaught_exceptions() > exceptions_) return;
    const int error = is_run_ ? MPI_Finalize() : MPI_Comm_free(&comm_);
    if (error == MPI_SUCCESS) return;
    std::fprintf(stderr, "coat: rank %d of %d: %s failed: %s\n", rank_, size_,
                 is_run_ ? "MPI_Finalize" : "MPI_Comm_free", TextOf(error).c_str());
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void Exchange(std::span<const Outgoing> sends, std::span<const Incoming> receives) override {
    requests_.clear();
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
    const auto place = [&](int rank) { return std::accumulate(bytes.begin(), bytes.begin() + rank, std::int64_t{0}); };
    if (place(size_) > kMessageBytes) return ExchangeAll(mine, all, bytes, place(rank_));
    std::vector<int> counts(bytes.begin(), bytes.end());
    std::vector<int> places(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), places.begin(), 0);
    Check(MPI_Allgatherv(mine, counts[static_cast<std::size_t>(rank_)], MPI_BYTE, all, counts.data(), places.data(),
                         MPI_BYTE, comm_),
          "MPI_Allgatherv");
  }

  std::unique_ptr<Transport> Split(int color) override {
    MPI_Comm part = MPI_COMM_NULL;
    Check(MPI_Comm_split(comm_, color, rank_, &part), "MPI_Comm_split");
    return std::make_unique<MpiTransport>(part, false);
  }

  void Abort(int exit_code) noexcept override {
    std::fflush(stdout);
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  /// `peer`: the rank that the call was about; -1: all of them.
  void Check(int error, const char* call, int peer = -1) {
    if (error == MPI_SUCCESS) return;
    has_failed_ = true;
    const std::string with = peer < 0 ? "the others" : "rank " + std::to_string(peer);
    throw CommError("rank " + std::to_string(rank_) + " of " + std::to_string(size_) + ": " + call + " with " + with +
                    " failed: " + TextOf(error));
  }

  void WaitForRequests() {
    statuses_.resize(requests_.size());
    const int error = MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), statuses_.data());
    if (error == MPI_ERR_IN_STATUS) {
      for (std::size_t i = 0; i < statuses_.size(); ++i) {
        if (statuses_[i].MPI_ERROR != MPI_ERR_PENDING) Check(statuses_[i].MPI_ERROR, "MPI_Waitall", peers_[i]);
      }
    }
    Check(error, "MPI_Waitall");
  }

  /// AllGather for what a single call of MPI does not take. What this rank has goes to `place` of `all`.
  void ExchangeAll(const std::byte* mine, std::byte* all, std::span<const std::int64_t> bytes, std::int64_t place) {
    const std::int64_t length = bytes[static_cast<std::size_t>(rank_)];
    std::copy_n(mine, length, all + place);
    std::vector<Outgoing> sends;
    std::vector<Incoming> receives;
    for (int peer = 0; peer < size_; ++peer) {
      const std::int64_t theirs = bytes[static_cast<std::size_t>(peer)];
      if (peer != rank_) {
        sends.push_back({peer, mine, length});
        receives.push_back({peer, all, theirs});
      }
      all += theirs;
    }
    Exchange(sends, receives);
  }

  MPI_Comm comm_;
  bool is_run_;
  int exceptions_;
  bool has_failed_ = false;
  int rank_ = 0;
  int size_ = 1;
  std::vector<MPI_Request> requests_;
  std::vector<int> peers_;  // of the requests
  std::vector<MPI_Status> statuses_;
};

/// Starts MPI in this process. Throws CommError when it has been started before: it cannot be started again.
std::unique_ptr<Transport> StartMpi() {
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
  return std::make_unique<MpiTransport>(MPI_COMM_WORLD, true);
}

}  // namespace

}  // namespace coat

/// The module's only function (comm/launch.cpp): the ranks that MPI knows of, or null for another version of Transport.
extern "C" __attribute__((visibility("default"))) coat::Transport* CoatStartMpi(int version) {
  return version == coat::Transport::kVersion ? coat::StartMpi().release() : nullptr;
}
