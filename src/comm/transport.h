#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace coat {

/// Moves bytes of host memory between the ranks of a run: what a communicator (comm/ranks.h) asks of MPI.
///
/// Knows no tensors and computes nothing, so that sums are taken in one place whatever carries them. Every rank makes
/// the same calls in the same order. One caller at a time, always the same thread.
///
/// Errors: a peer that is gone or that does not come (comm/wait_limit.h), or a library that reports a failure, is a
/// CommError; nothing may be called then but Abort and the destructor.
class Transport {
 public:
  /// Raised whenever this class changes: a module of another version is refused when it is loaded.
  static constexpr int kVersion = 2;

  struct Outgoing {
    int peer = 0;  // another rank
    const std::byte* data = nullptr;
    std::int64_t bytes = 0;
  };
  struct Incoming {
    int peer = 0;  // another rank
    std::byte* data = nullptr;
    std::int64_t bytes = 0;  // as the sender has it
  };

  /// Waits for nobody if an exception is on its way: the others may be anywhere.
  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Sends and receives, all at once, and waits until all of it is done. Between two ranks messages keep their order.
  /// What is received overlaps nothing else of the call.
  virtual void Exchange(std::span<const Outgoing> sends, std::span<const Incoming> receives) = 0;

  /// `all` becomes the bytes of all ranks, rank after rank: bytes[r] of rank r, the same list on every rank. `mine` has
  /// bytes[rank()] and lies apart. All ranks wait for one another.
  virtual void AllGather(const std::byte* mine, std::byte* all, std::span<const std::int64_t> bytes) = 0;

  /// The ranks that give the same `color`, as a transport of their own, in the order of their ranks here. It must not
  /// outlive this one.
  virtual std::unique_ptr<Transport> Split(int color) = 0;

  /// Ends the processes of all ranks of the run, this one included, with this exit code. Waits for nothing.
  [[noreturn]] virtual void Abort(int exit_code) noexcept = 0;
};

}  // namespace coat
