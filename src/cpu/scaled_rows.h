#pragma once
// Encoding and decoding of runs of values, for ops that quantize.

#include <bit>
#include <cstdint>

#include "base/dtype.h"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/scale.h"

namespace coat::cpu {

/// codes[i] = the code of value(i) under a scale given by its reciprocal.
template <class F, class Value>
inline void EncodeRun(std::int64_t count, float reciprocal, Value&& value, std::uint8_t* codes) {
  for (std::int64_t i = 0; i < count; ++i) codes[i] = EncodeScaled<F>(value(i), reciprocal);
}

/// The same for float32 values in memory and a format known at run time.
inline void EncodeRunAs(DType format, std::int64_t count, float reciprocal, const float* values, std::uint8_t* codes) {
  if (format == DType::kE4M3) {
    EncodeRun<E4M3>(
        count, reciprocal, [=](std::int64_t i) { return values[i]; }, codes);
  } else {
    EncodeRun<E5M2>(
        count, reciprocal, [=](std::int64_t i) { return values[i]; }, codes);
  }
}

/// ScaleFromAbsMax in a format known at run time.
inline float ScaleAs(DType format, float absmax) {
  return format == DType::kE4M3 ? ScaleFromAbsMax<E4M3>(absmax) : ScaleFromAbsMax<E5M2>(absmax);
}

/// The largest |value(i)|, NaN if any is NaN: an integer maximum of the bits.
template <class Value>
inline float RunAbsMax(std::int64_t count, Value&& value) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(static_cast<float>(value(i))) & 0x7fffffffu;
    largest = largest > bits ? largest : bits;
  }
  return std::bit_cast<float>(largest);
}

/// The scale that a group with this absmax is stored with, as a float, written to `stored`.
template <class F>
inline float StoreGroupScale(float absmax, float* stored) {
  return *stored = ScaleFromAbsMax<F>(absmax);
}
template <class F>
inline float StoreGroupScale(float absmax, BFloat16* stored) {
  return ToFloat(*stored = GroupScaleFromAbsMax<F>(absmax));
}

/// Quantizes `count` values in groups of `group`, a multiple of 16 that divides count: codes and scales of type S.
template <class F, class S, class Value>
inline void EncodeGroups(std::int64_t count, int group, Value&& value, std::uint8_t* codes, S* scales) {
  constexpr std::int64_t kRun = 16;
  for (std::int64_t begin = 0; begin < count; begin += group) {
    float absmax = 0.0f;
    for (std::int64_t run = begin; run < begin + group; run += kRun) {
      const float of_run = RunAbsMax(kRun, [&](std::int64_t i) { return value(run + i); });
      absmax = std::bit_cast<std::uint32_t>(of_run) > std::bit_cast<std::uint32_t>(absmax) ? of_run : absmax;
    }
    const float reciprocal = 1.0f / StoreGroupScale<F>(absmax, scales + begin / group);
    for (std::int64_t run = begin; run < begin + group; run += kRun) {
      EncodeRun<F>(
          kRun, reciprocal, [&](std::int64_t i) { return value(run + i); }, codes + run);
    }
  }
}

/// Decodes `count` codes whose first is element `column` of a row in groups of `group` with bf16 scales; `column` and
/// `count` are multiples of 16, and so is `group`.
template <class F>
inline void DecodeGroups(const std::uint8_t* codes, const BFloat16* scales_of_row, int group, std::int64_t column,
                         std::int64_t count, float* values) {
  constexpr std::int64_t kRun = 16;
  for (std::int64_t begin = 0; begin < count; begin += kRun) {
    const float scale = ToFloat(scales_of_row[(column + begin) / group]);
    for (std::int64_t i = 0; i < kRun; ++i) values[begin + i] = DecodeFp8<F>(codes[begin + i]) * scale;
  }
}

}  // namespace coat::cpu
