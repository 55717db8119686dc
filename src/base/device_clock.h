#pragma once

#include <cstdint>
#include <vector>

namespace coat {

/// Times of marks in a device's stream of work (Device::MakeClock).
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;

  /// Puts a mark behind the work that was started so far, and returns its number: 0, 1, 2, ... Not while work is being
  /// recorded.
  virtual std::int64_t Mark() noexcept = 0;
  /// Waits for all work. When the device came to each mark, in microseconds since the clock was made, when it had
  /// nothing to do. Throws Error, also for a mark that failed.
  virtual std::vector<double> Read() = 0;
};

}  // namespace coat
