#pragma once

#include <cstdint>

namespace coat {

/// a / b, rounded up. a >= 0, b > 0.
constexpr std::int64_t DivideUp(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// The smallest multiple of b that is not below a. a >= 0, b > 0.
constexpr std::int64_t RoundUp(std::int64_t a, std::int64_t b) {
  return DivideUp(a, b) * b;
}

}  // namespace coat
