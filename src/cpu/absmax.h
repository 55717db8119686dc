#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace coat::cpu {

/// A largest magnitude that blocks running at once report to. The order of reports does not matter: magnitudes order
/// like their bits (NaN above all), so this is an integer maximum.
class SharedAbsMax {
 public:
  /// Starts at 0 in `target`, which stays the caller's and holds the result.
  explicit SharedAbsMax(float* target) : bits_(*reinterpret_cast<std::uint32_t*>(target)) { bits_.store(0); }

  void Report(float magnitude) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(magnitude);
    std::uint32_t seen = bits_.load(std::memory_order_relaxed);
    while (seen < bits && !bits_.compare_exchange_weak(seen, bits)) {
    }
  }

 private:
  std::atomic_ref<std::uint32_t> bits_;
};

}  // namespace coat::cpu
