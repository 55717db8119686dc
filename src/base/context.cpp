#include "base/context.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/divide.h"
#include "base/error.h"

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
  if (backend_) return backend_->workspace_bytes();
  return static_cast<std::int64_t>(workspaces_.size()) * kWorkspaceBytes;
}

void Context::ParallelFor(std::int64_t count, const std::function<void(std::int64_t, int)>& body) {
  pool_->Run(count, body);
}

void Context::ParallelBlocks(std::int64_t total, std::int64_t grain,
                             const std::function<void(std::int64_t, std::int64_t)>& body) {
  pool_->Run(DivideUp(total, grain), [&](std::int64_t index, int) {
    const std::int64_t begin = index * grain;
    body(begin, std::min(begin + grain, total));
  });
}

void Context::Upload(const void* host, TensorView x) const {
  COAT_REQUIRE(x.device() == device_, "upload to a tensor on {}; expected it on {}", NameOf(x.device()),
               NameOf(device_));
  if (device_ == DeviceKind::kMeta || x.bytes() == 0) return;
  if (backend_) return backend_->Upload(host, x.data(), x.bytes());
  std::memcpy(x.data(), host, static_cast<std::size_t>(x.bytes()));
}

void Context::Download(ConstTensorView x, void* host) const {
  COAT_REQUIRE(x.device() == device_, "download of a tensor on {}; expected it on {}", NameOf(x.device()),
               NameOf(device_));
  if (device_ == DeviceKind::kMeta || x.bytes() == 0) return;
  if (backend_) return backend_->Download(x.data(), host, x.bytes());
  std::memcpy(host, x.data(), static_cast<std::size_t>(x.bytes()));
}

void Context::Copy(ConstTensorView x, TensorView y) const {
  COAT_REQUIRE(x.device() == device_ && y.device() == device_ && x.dtype() == y.dtype() && x.bytes() == y.bytes(),
               "copy of {} to {}; expected both on {}, of the same type and size", x.ToString(),
               ConstTensorView(y).ToString(), NameOf(device_));
  if (device_ == DeviceKind::kMeta || x.bytes() == 0) return;
  if (backend_) return backend_->Copy(x.data(), y.data(), x.bytes());
  std::memcpy(y.data(), x.data(), static_cast<std::size_t>(x.bytes()));
}

void Context::Synchronize() const {
  if (backend_) backend_->Synchronize();
}

void Context::set_late(bool late) {
  COAT_REQUIRE(device_ == DeviceKind::kCpu, "late work on {}; expected kCpu", NameOf(device_));
  late_ = late;
}

Context::Ticket Context::Beside(std::function<void()> work) {
  if (backend_) return {backend_->Beside(work)};
  if (late_) {
    waiting_.push_back(std::move(work));
  } else {
    work();
  }
  return {++tickets_};
}

void Context::WaitFor(Ticket ticket) {
  if (backend_) return backend_->WaitFor(ticket.number);
  while (!waiting_.empty() && tickets_ - static_cast<std::int64_t>(waiting_.size()) < ticket.number) {
    const std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    work();
  }
}

void Context::Recorded(std::string_view name, std::uint64_t version, const std::function<void()>& work) const {
  const bool is_watched = profile_ != nullptr || observer_ != nullptr;
  if (backend_ && !is_watched) return backend_->Recorded(name, version, work);
  work();
}

std::byte* Context::Workspace(int worker) {
  return workspaces_[static_cast<std::size_t>(worker)].get();
}

}  // namespace coat
