#pragma once
// Encoding and decoding of runs of values, for ops that quantize.

#include <bit>
#include <cstdint>
#include <utility>

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

/// Elements that ops on groups hold as floats at a time: a multiple of every group.
constexpr std::int64_t kGroupChunk = 512;
/// The smallest group; every group is a multiple of it.
constexpr std::int64_t kSmallestGroup = 16;

namespace detail {

/// larger[i] = the larger of magnitudes 2i and 2i + 1.
inline void LargerOfPairs(const std::uint32_t* __restrict magnitudes, std::int64_t pairs,
                          std::uint32_t* __restrict larger) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const std::uint32_t first = magnitudes[2 * i];
    const std::uint32_t second = magnitudes[2 * i + 1];
    larger[i] = first > second ? first : second;
  }
}

}  // namespace detail

/// The largest magnitude of each group, NaN if any of it is NaN, for up to kGroupChunk values: halves all of them until
/// one a group is left, which is a tournament in long loops. `group` is a power of two.
inline void GroupAbsMax(const float* values, std::int64_t count, int group, float* absmax) {
  std::uint32_t magnitudes[kGroupChunk];
  std::uint32_t larger[kGroupChunk / 2];
  for (std::int64_t i = 0; i < count; ++i) magnitudes[i] = std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffu;
  std::uint32_t* from = magnitudes;
  std::uint32_t* to = larger;
  for (; group > 1; group /= 2) {
    count /= 2;
    detail::LargerOfPairs(from, count, to);
    std::swap(from, to);
  }
  for (std::int64_t g = 0; g < count; ++g) absmax[g] = std::bit_cast<float>(from[g]);
}

/// Repeats the factor of each group for each of its elements, so that what follows is one loop over elements.
inline void Spread(const float* factors, std::int64_t groups, int group, float* spread) {
  for (std::int64_t g = 0; g < groups; ++g) {
    const float factor = factors[g];
    for (int begin = 0; begin < group; begin += kSmallestGroup) {
      for (int i = 0; i < kSmallestGroup; ++i) spread[begin + i] = factor;
    }
    spread += group;
  }
}

/// Quantizes `count` values in groups of `group`, which divides count: codes and scales of type S.
template <class F, class S, class Value>
inline void EncodeGroups(std::int64_t count, int group, Value&& value, std::uint8_t* codes, S* scales) {
  float values[kGroupChunk];
  float spread[kGroupChunk];
  float reciprocals[kGroupChunk / kSmallestGroup];
  for (std::int64_t begin = 0; begin < count; begin += kGroupChunk) {
    const std::int64_t size = count - begin < kGroupChunk ? count - begin : kGroupChunk;
    const std::int64_t groups = size / group;
    for (std::int64_t i = 0; i < size; ++i) values[i] = value(begin + i);
    GroupAbsMax(values, size, group, reciprocals);
    for (std::int64_t g = 0; g < groups; ++g) reciprocals[g] = 1.0f / StoreGroupScale<F>(reciprocals[g], scales + g);
    Spread(reciprocals, groups, group, spread);
    for (std::int64_t i = 0; i < size; ++i) codes[begin + i] = EncodeScaled<F>(values[i], spread[i]);
    scales += groups;
  }
}

/// Decodes up to kGroupChunk codes that begin and end at multiples of 16 of a row in groups: the first is element
/// `column` of the row, whose scales have type S.
template <class F, class S>
inline void DecodeGroups(const std::uint8_t* codes, const S* scales_of_row, int group, std::int64_t column,
                         std::int64_t count, float* values) {
  float spread[kGroupChunk];
  for (std::int64_t begin = 0; begin < count; begin += kSmallestGroup) {
    const float scale = ToFloat(scales_of_row[(column + begin) / group]);
    for (std::int64_t i = 0; i < kSmallestGroup; ++i) spread[begin + i] = scale;
  }
  for (std::int64_t i = 0; i < count; ++i) values[i] = DecodeFp8<F>(codes[i]) * spread[i];
}

}  // namespace coat::cpu
