#pragma once
// The two FP8 formats of the OCP specification: E4M3 ("fn": no infinities, NaN is 0x7f and 0xff) and E5M2.
//
// Both functions are straight-line code of integer and select operations, so that loops over them vectorize.

#include <bit>
#include <cstdint>

#include "numerics/host_device.h"

namespace coat {

struct E4M3 {
  static constexpr int kMantissaBits = 3;
  static constexpr int kBias = 7;
  static constexpr float kMax = 448.0f;
  static constexpr std::uint8_t kMaxCode = 0x7e;
};

struct E5M2 {
  static constexpr int kMantissaBits = 2;
  static constexpr int kBias = 15;
  static constexpr float kMax = 57344.0f;
  static constexpr std::uint8_t kMaxCode = 0x7b;
};

/// `x` rounded once to F: to nearest, ties to even; overflow and infinities to +-kMax; NaN to 0x7f.
/// The same function of all 2^32 floats as CUDA's cvt.rn.satfinite (numerics/fp8_test.cpp).
template <class F>
COAT_HOST_DEVICE constexpr std::uint8_t EncodeFp8(float x) {
  constexpr int kDropped = 23 - F::kMantissaBits;
  constexpr int kRebias = 127 - F::kBias;
  constexpr std::uint32_t kMaxBits = std::bit_cast<std::uint32_t>(F::kMax);
  constexpr std::uint32_t kSmallestNormalBits = static_cast<std::uint32_t>(kRebias + 1) << 23;
  // A float whose unit in the last place is F's smallest subnormal: adding it rounds a subnormal of F to an integer.
  constexpr float kAligner = std::bit_cast<float>(static_cast<std::uint32_t>(kRebias + 1 + kDropped) << 23);

  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t clamped = magnitude < kMaxBits ? magnitude : kMaxBits;
  const std::uint32_t odd = (clamped >> kDropped) & 1u;
  const std::uint32_t normal = ((clamped + ((1u << (kDropped - 1)) - 1u) + odd) >> kDropped) -
                               (static_cast<std::uint32_t>(kRebias) << F::kMantissaBits);
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(clamped) + kAligner) - std::bit_cast<std::uint32_t>(kAligner);
  const std::uint32_t finite = sign | (clamped < kSmallestNormalBits ? subnormal : normal);
  return static_cast<std::uint8_t>(magnitude > 0x7f800000u ? 0x7fu : finite);
}

/// The value of `code`, exactly; NaN for the NaN codes, infinity for E5M2's.
template <class F>
COAT_HOST_DEVICE constexpr float DecodeFp8(std::uint8_t code) {
  constexpr int kDropped = 23 - F::kMantissaBits;
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - F::kBias) << 23;
  constexpr std::uint32_t kSmallestNormalCode = 1u << F::kMantissaBits;
  constexpr std::uint32_t kFirstSpecialCode = F::kMaxCode + 1u;
  constexpr float kSubnormalUnit =
      std::bit_cast<float>(static_cast<std::uint32_t>(127 - F::kBias + 1 - F::kMantissaBits) << 23);

  const std::uint32_t magnitude = code & 0x7fu;
  const std::uint32_t sign = (code & 0x80u) << 24;
  const std::uint32_t normal = (magnitude << kDropped) + kRebias;
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * kSubnormalUnit);
  // E4M3 has one special code, NaN; E5M2's are infinity (mantissa 0) and NaNs, which keep float32's encoding.
  const std::uint32_t special = F::kBias == E5M2::kBias && magnitude == kFirstSpecialCode ? 0x7f800000u : 0x7fc00000u;
  const std::uint32_t finite = magnitude < kSmallestNormalCode ? subnormal : normal;
  return std::bit_cast<float>(sign | (magnitude >= kFirstSpecialCode ? special : finite));
}

}  // namespace coat
