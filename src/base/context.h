#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/device.h"
#include "base/dtype.h"
#include "base/tensor.h"
#include "base/thread_pool.h"

namespace coat {

class Profile;
class TensorObserver;

/// Where and in which order ops run; the first argument of every op. There are no globals.
///
/// On kMeta an op checks its arguments and does nothing else. On kCpu it runs at once, on the context's threads; its
/// result does not depend on their number. On kCuda it is started on the device and runs in the order of the calls, but
/// for the work of Beside.
/// Owns the threads and a fixed workspace a thread, or the device. One caller at a time.
class Context {
 public:
  /// Bytes of workspace a thread: three float32 tiles of a matrix product (cpu/gemm.cpp) or one attention tile.
  static constexpr std::int64_t kWorkspaceBytes = 8 << 20;

  /// On kMeta or kCpu. `threads` 0 means one a core that this process may use; it is ignored on kMeta.
  explicit Context(DeviceKind device, int threads = 0);
  /// On kCuda (cuda/open_device.h).
  explicit Context(std::shared_ptr<Device> backend) : device_(DeviceKind::kCuda), backend_(std::move(backend)) {}

  DeviceKind device() const { return device_; }
  /// Null on kMeta and kCpu.
  const std::shared_ptr<Device>& backend() const { return backend_; }
  int threads() const { return pool_ ? pool_->size() : 1; }
  /// Bytes of all threads' workspaces, or of the device's.
  std::int64_t workspace_bytes() const;

  // Copies between host memory and tensors on this context's device, in order with the ops. On kMeta they do nothing.

  /// `host` has the bytes of `x`; it may change as soon as this returns.
  void Upload(const void* host, TensorView x) const;
  /// Waits for the copy.
  void Download(ConstTensorView x, void* host) const;
  /// y = x, byte for byte: of the same type and number of elements, and apart in memory.
  void Copy(ConstTensorView x, TensorView y) const;
  /// Waits until all work has run.
  void Synchronize() const;

  /// Runs `work`. On kCuda it is recorded the second time that a name is seen, and replayed from then on without being
  /// called, until `version` changes: then it is called and recorded anew. `work` only calls ops, Copy and collectives,
  /// on the same tensors each time, and `version` stands for every other value that it passes on. While there is a
  /// profile or an observer it is called every time, with the same results.
  void Recorded(std::string_view name, std::uint64_t version, const std::function<void()>& work) const;

  /// Work that may still be under way; a default one is done.
  struct Ticket {
    std::int64_t number = 0;
  };
  /// Starts `work`, which only calls ops that need no workspace, Copy and collectives, and may run while what is called
  /// after it runs. It sees all that was called before; what it writes may be read, and what it reads written, only
  /// behind WaitFor. Pieces of such work run in the order of their calls. On kCpu it runs at once. Inside of Recorded
  /// both Beside and WaitFor are, or neither.
  Ticket Beside(std::function<void()> work);
  /// What is called from now on sees the work of this ticket and of all earlier ones.
  void WaitFor(Ticket ticket);
  /// On kCpu, to prove that nobody looks too early: the work of Beside runs only when it is waited for.
  void set_late(bool late);

  /// What ProfileSpan (base/profile.h) reports to; null: nobody. It must stay valid.
  void set_profile(Profile* profile) { profile_ = profile; }
  Profile* profile() const { return profile_; }
  /// What models show the tensors of their parts to (base/observer.h); null: nobody. It must stay valid.
  void set_observer(TensorObserver* observer) { observer_ = observer; }
  TensorObserver* observer() const { return observer_; }

  /// See ThreadPool::Run. For implementations on kCpu.
  void ParallelFor(std::int64_t count, const std::function<void(std::int64_t index, int worker)>& body);
  /// Like ParallelFor over [0, total) in blocks of `grain`: body(begin, end). The blocks depend on nothing else.
  void ParallelBlocks(std::int64_t total, std::int64_t grain,
                      const std::function<void(std::int64_t begin, std::int64_t end)>& body);
  /// The workspace of one worker of a ParallelFor: kWorkspaceBytes, aligned to 64 bytes.
  std::byte* Workspace(int worker);

 private:
  struct FreeWorkspace {
    void operator()(std::byte* block) const;
  };

  DeviceKind device_;
  std::shared_ptr<Device> backend_;
  Profile* profile_ = nullptr;
  TensorObserver* observer_ = nullptr;
  bool late_ = false;
  std::int64_t tickets_ = 0;                   // given out
  std::deque<std::function<void()>> waiting_;  // work of the last tickets that has not run, when late
  std::unique_ptr<ThreadPool> pool_;
  std::vector<std::unique_ptr<std::byte, FreeWorkspace>> workspaces_;
};

}  // namespace coat
