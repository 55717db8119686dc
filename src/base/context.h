#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/dtype.h"
#include "base/thread_pool.h"

namespace coat {

/// Where and in which order ops run; the first argument of every op. There are no globals.
///
/// On kMeta an op checks its arguments and does nothing else. On kCpu it runs at once, on the context's threads; its
/// result does not depend on their number. Owns the threads and a fixed workspace a thread. One caller at a time.
class Context {
 public:
  /// Bytes of workspace a thread: three float32 tiles of a matrix product (cpu/gemm.cpp) or one attention tile.
  static constexpr std::int64_t kWorkspaceBytes = 8 << 20;

  /// `threads` 0 means one a core that this process may use; it is ignored on kMeta.
  explicit Context(DeviceKind device, int threads = 0);

  DeviceKind device() const { return device_; }
  int threads() const { return pool_ ? pool_->size() : 1; }
  /// Bytes of all threads' workspaces.
  std::int64_t workspace_bytes() const;

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
  std::unique_ptr<ThreadPool> pool_;
  std::vector<std::unique_ptr<std::byte, FreeWorkspace>> workspaces_;
};

}  // namespace coat
