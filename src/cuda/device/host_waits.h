#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace coat::cuda {

class CudaDevice;

/// When the caller of a device waits for it, or for a library that waits for other ranks: a part of the device
/// (CudaDevice::Get), for threads that watch over such waits.
class HostWaits {
 public:
  /// Odd while the caller waits, and another number for every wait. Any thread may read it, for longer than the device
  /// lives.
  using Count = std::atomic<std::int64_t>;

  explicit HostWaits(CudaDevice&) {}

  /// A wait, as long as this object lives.
  class Wait {
   public:
    explicit Wait(HostWaits& waits) : count_(*waits.count_) { ++count_; }
    ~Wait() { ++count_; }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Count& count_;
  };

  std::shared_ptr<const Count> count() const { return count_; }

 private:
  std::shared_ptr<Count> count_ = std::make_shared<Count>(0);
};

}  // namespace coat::cuda
