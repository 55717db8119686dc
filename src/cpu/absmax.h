#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "base/tensor.h"

namespace coat::cpu {

/// A largest magnitude that blocks running at once report to. The order of reports does not matter: magnitudes order
/// like their bits (NaN above all), so this is an integer maximum.
class SharedAbsMax {
 public:
  /// Starts at 0 in `target`, which stays the caller's and holds the result.
  explicit SharedAbsMax(float* target) : largest_(*target) { largest_.store(0.0f); }

  void Report(float magnitude) {
    float seen = largest_.load(std::memory_order_relaxed);
    while (std::bit_cast<std::uint32_t>(seen) < std::bit_cast<std::uint32_t>(magnitude) &&
           !largest_.compare_exchange_weak(seen, magnitude)) {
    }
  }

 private:
  std::atomic_ref<float> largest_;
};

/// The largest magnitudes of `target` [n] f32, one of which is of tensor `i`; nothing if there is no target.
inline std::optional<SharedAbsMax> AbsMaxOfTensor(const TensorView& target, std::size_t i) {
  if (!target) return std::nullopt;
  return std::optional<SharedAbsMax>(std::in_place, target.As<float>() + i);
}

}  // namespace coat::cpu
