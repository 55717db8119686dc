#pragma once
// bfloat16: the upper half of a float32.

#include <bit>
#include <cstdint>

#include "numerics/host_device.h"

namespace coat {

struct BFloat16 {
  std::uint16_t bits = 0;
};

/// Exact.
COAT_HOST_DEVICE constexpr float ToFloat(BFloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}
COAT_HOST_DEVICE constexpr float ToFloat(float x) {
  return x;
}

/// `x` rounded to nearest, ties to even; overflow to infinity; NaN to the quiet NaN 0x7fff with x's sign.
COAT_HOST_DEVICE constexpr BFloat16 ToBFloat16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t nan = ((bits >> 16) & 0x8000u) | 0x7fffu;
  return {static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded)};
}

/// The smallest bfloat16 that is not below `x`, for x >= 0 and finite. Used for scales, which must not be too small.
COAT_HOST_DEVICE constexpr BFloat16 ToBFloat16RoundedUp(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  return {static_cast<std::uint16_t>((bits + 0xffffu) >> 16)};
}

/// A float32 rounded to the type T of a plain tensor: itself, or bfloat16 as above.
template <class T>
COAT_HOST_DEVICE constexpr T RoundTo(float x);
template <>
COAT_HOST_DEVICE constexpr float RoundTo<float>(float x) {
  return x;
}
template <>
COAT_HOST_DEVICE constexpr BFloat16 RoundTo<BFloat16>(float x) {
  return ToBFloat16(x);
}

}  // namespace coat
