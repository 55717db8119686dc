#pragma once
// Exp, Exp2 and Log2 in float32 from additions, multiplications, fused multiply-adds and divisions only.
//
// Every operation is correctly rounded by IEEE 754, so that a result has the same bits on every CPU and GPU and in
// scalar and vector loops; a math library's functions do not. Errors are stated against exact results and tested over
// all float32 arguments of the domain that matters (elementary_test.cpp).

#include <bit>
#include <cmath>
#include <cstdint>

#include "numerics/host_device.h"

namespace coat {

namespace detail {

/// p * 2^n for the integer that `biased` = n + 1.5 * 2^23 carries in its low bits, rounded once; n in [-252, 254].
COAT_HOST_DEVICE inline float ScaleByPowerOfTwo(float p, float biased) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  const std::int32_t n =
      static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(biased) - std::bit_cast<std::uint32_t>(kMagic));
  const std::int32_t half = n >> 1;
  const float first = std::bit_cast<float>(static_cast<std::uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<std::uint32_t>(n - half + 127) << 23);
  return p * first * second;
}

/// e^r for |r| <= 0.35 (half of ln 2).
COAT_HOST_DEVICE inline float ExpOfRemainder(float r) {
  float p = 1.0f / 5040.0f;
  p = std::fma(p, r, 1.0f / 720.0f);
  p = std::fma(p, r, 1.0f / 120.0f);
  p = std::fma(p, r, 1.0f / 24.0f);
  p = std::fma(p, r, 1.0f / 6.0f);
  p = std::fma(p, r, 0.5f);
  p = std::fma(p, r, 1.0f);
  return std::fma(p, r, 1.0f);
}

}  // namespace detail

/// e^x. Error at most 1 ulp for results that are normal numbers; infinity above 88.73, 0 below -104; NaN for NaN.
COAT_HOST_DEVICE inline float Exp(float x) {
  constexpr float kMagic = 12582912.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;  // the upper 16 bits of ln 2: n * kLn2High is exact
  constexpr float kLn2Low = 1.42860677e-06f;
  const float bounded = x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x);
  const float biased = std::fma(bounded, kLog2E, kMagic);
  const float n = biased - kMagic;
  const float r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, bounded));
  return detail::ScaleByPowerOfTwo(detail::ExpOfRemainder(r), biased);
}

/// 2^x. Error at most 1 ulp for results that are normal numbers; infinity from 128 on, 0 below -150; NaN for NaN.
COAT_HOST_DEVICE inline float Exp2(float x) {
  constexpr float kMagic = 12582912.0f;
  constexpr float kLn2 = 0.693147181f;
  const float bounded = x > 129.0f ? 129.0f : (x < -151.0f ? -151.0f : x);
  const float biased = bounded + kMagic;
  const float n = biased - kMagic;
  return detail::ScaleByPowerOfTwo(detail::ExpOfRemainder((bounded - n) * kLn2), biased);
}

/// log2(x) = exponent + fraction: exponent whole, |fraction| <= 1/2.
struct Log2Parts {
  float exponent = 0.0f;
  float fraction = 0.0f;
};

namespace detail {

/// log2(x) = exponent + factor * series, for Log2 and SplitLog2.
struct Log2Terms {
  float exponent;
  float factor;
  float series;
};

COAT_HOST_DEVICE inline Log2Terms TermsOfLog2(float x) {
  constexpr float kTwoOverLn2 = 2.88539008f;
  const bool subnormal = x < 1.17549435e-38f;
  const float normal = subnormal ? x * 16777216.0f : x;
  // Split into 2^e * m with m in [sqrt(1/2), sqrt(2)), so that no bits cancel between e and log2(m).
  const std::uint32_t shifted = std::bit_cast<std::uint32_t>(normal) + (0x3f800000u - 0x3f3504f3u);
  const std::int32_t exponent = static_cast<std::int32_t>(shifted >> 23) - 127 - (subnormal ? 24 : 0);
  const float m = std::bit_cast<float>((shifted & 0x007fffffu) + 0x3f3504f3u);
  // log(m) = 2 artanh(s), s = (m - 1) / (m + 1), |s| <= 0.172.
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  float p = 1.0f / 9.0f;
  p = std::fma(p, z, 1.0f / 7.0f);
  p = std::fma(p, z, 1.0f / 5.0f);
  p = std::fma(p, z, 1.0f / 3.0f);
  p = std::fma(p, z, 1.0f);
  return {static_cast<float>(exponent), s * kTwoOverLn2, p};
}

}  // namespace detail

/// log2(x) for finite x > 0, subnormal numbers included. Relative error at most 4 ulp of the result, also where it is
/// near 0 (x near 1). -151 for 0.
COAT_HOST_DEVICE inline float Log2(float x) {
  const detail::Log2Terms terms = detail::TermsOfLog2(x);
  return std::fma(terms.factor, terms.series, terms.exponent);
}

/// log2(x) in two parts, for differences of logarithms: those of the exponents are exact, and the error of a fraction
/// is at most 4 ulp of it. Domain as of Log2; {-151, 0} for 0.
COAT_HOST_DEVICE inline Log2Parts SplitLog2(float x) {
  const detail::Log2Terms terms = detail::TermsOfLog2(x);
  return {terms.exponent, terms.factor * terms.series};
}

}  // namespace coat
