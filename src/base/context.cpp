#include "base/context.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace coat {

void Context::FreeWorkspace::operator()(std::byte* block) const {
  std::free(block);
}

Context::Context(DeviceKind device, int threads) : device_(device) {
  if (device == DeviceKind::kMeta) return;
  pool_ = std::make_unique<ThreadPool>(threads);
  for (int worker = 0; worker < pool_->size(); ++worker) {
    auto* block = static_cast<std::byte*>(std::aligned_alloc(64, kWorkspaceBytes));
    if (block == nullptr) throw std::bad_alloc();
    workspaces_.emplace_back(block);
  }
}

std::int64_t Context::workspace_bytes() const {
  return static_cast<std::int64_t>(workspaces_.size()) * kWorkspaceBytes;
}

void Context::ParallelFor(std::int64_t count, const std::function<void(std::int64_t, int)>& body) {
  pool_->Run(count, body);
}

void Context::ParallelBlocks(std::int64_t total, std::int64_t grain,
                             const std::function<void(std::int64_t, std::int64_t)>& body) {
  pool_->Run((total + grain - 1) / grain, [&](std::int64_t index, int) {
    const std::int64_t begin = index * grain;
    body(begin, std::min(begin + grain, total));
  });
}

std::byte* Context::Workspace(int worker) {
  return workspaces_[static_cast<std::size_t>(worker)].get();
}

}  // namespace coat
