#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/device_clock.h"

namespace coat {

/// A device with memory of its own, as layers above the ops see it: memory, copies, recorded work.
///
/// Work is ordered: ops, copies and replays run on the device in the order of the calls, but for work that Beside has
/// started. Errors of work that was started earlier are thrown by the next call, as Error. One caller at a time.
class Device {
 public:
  virtual ~Device() = default;

  /// What it is, for people: "NVIDIA H200".
  virtual std::string Name() const = 0;
  /// Bytes that are free and that there are, as the driver reports them for all processes.
  struct Memory {
    std::int64_t free_bytes = 0;
    std::int64_t total_bytes = 0;
  };
  virtual Memory ReadMemory() const = 0;
  /// Bytes of the workspace that ops take small partial results from. It grows when an op is first met that needs more.
  virtual std::int64_t workspace_bytes() const = 0;
  /// Makes the workspace at least this long at once, so that it does not grow, and recorded work is not recorded anew,
  /// on one of several ranks alone. Throws Error when there is not enough memory.
  virtual void ReserveWorkspace(std::int64_t bytes) = 0;

  /// A block filled with zeros, aligned to 256 bytes. Throws std::bad_alloc when there is not enough memory.
  virtual std::byte* Allocate(std::int64_t bytes) = 0;
  virtual void Free(std::byte* block) noexcept = 0;
  /// Copies from the host; the host's bytes may change as soon as it returns.
  virtual void Upload(const void* host, void* device, std::int64_t bytes) = 0;
  /// Copies to the host, and waits for it.
  virtual void Download(const void* device, void* host, std::int64_t bytes) = 0;
  /// Copies within the device; the ranges do not overlap.
  virtual void Copy(const void* from, void* to, std::int64_t bytes) = 0;
  /// Waits until all work is done, that of Beside too.
  virtual void Synchronize() = 0;
  /// Runs `work`, as Context::Recorded describes.
  virtual void Recorded(std::string_view name, std::uint64_t version, const std::function<void()>& work) = 0;
  /// Starts `work`, as Context::Beside describes, and returns its number: 1, 2 and so on. Its ops take nothing from the
  /// workspace.
  virtual std::int64_t Beside(const std::function<void()>& work) = 0;
  /// What is called from now on sees the work of this number and of all lower ones.
  virtual void WaitFor(std::int64_t number) = 0;

  /// Waits for all work in order, and starts a clock that marks are put on from now on. It must not outlive the device.
  virtual std::unique_ptr<DeviceClock> MakeClock() = 0;
  /// Opens a named range of the host's time, and closes the last one, for the vendor's tools (NVTX). Ranges nest.
  virtual void PushRange(const char* name) noexcept = 0;
  virtual void PopRange() noexcept = 0;

  /// How long each algorithm of a matrix product runs before one is chosen, for products that are met from now on; at
  /// first kShort. kLong finds what is fastest at the power limit and pays for products of a training.
  enum class Trials { kShort, kLong };
  virtual void SetTrials(Trials trials) = 0;
  /// What has been measured to choose among algorithms that give different bits, as text; empty if nothing has. A run
  /// that imports it takes the same algorithms.
  virtual std::string ExportTuning() const = 0;
  /// Takes what ExportTuning gave; before the first step, since algorithms that have run are kept. Returns "" or, if
  /// the text is another device's or another version's and is ignored, why. Throws IoError if it is damaged. What turns
  /// out not to run is measured anew; DescribeTuning says so.
  virtual std::string ImportTuning(std::string_view text) = 0;
  /// What has been measured and chosen so far, in a line for people; empty if nothing has.
  virtual std::string DescribeTuning() const = 0;
};

}  // namespace coat
