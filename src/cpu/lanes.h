#pragma once
// Sums and maxima over rows in 16 interleaved partial results: vectorizable, and the same on every machine.

#include <bit>
#include <cstdint>
#include <limits>

namespace coat::cpu {

constexpr int kLanes = 16;

/// Adds the 16 partial sums in a fixed tree.
inline float SumOfLanes(const float (&lanes)[kLanes]) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; ++i) sums[i] = lanes[i];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

/// The sum of term(i) for i in [0, count); term i goes to lane i % 16.
template <class Term>
inline float LaneSum(std::int64_t count, Term&& term) {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  return SumOfLanes(lanes);
}

/// A LaneSum of terms in memory that come in pieces; every piece but the last is a multiple of 16 long.
class LaneSums {
 public:
  void Add(const float* terms, std::int64_t count) {
    float lanes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = lanes_[lane];
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[i + lane];
    }
    for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += terms[i];
    for (int lane = 0; lane < kLanes; ++lane) lanes_[lane] = lanes[lane];
  }
  float Total() const { return SumOfLanes(lanes_); }

 private:
  float lanes_[kLanes] = {};
};

/// An integer that orders as floats do, and back: bits for positive numbers, flipped bits for negative ones.
inline std::int32_t ToOrdered(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
inline float FromOrdered(std::int32_t ordered) {
  return std::bit_cast<float>(ordered ^ ((ordered >> 31) & 0x7fffffff));
}

/// The largest term(i) for i in [0, count), -infinity if there is none. NaN counts as larger or smaller than all
/// numbers, as its sign bit says. An integer maximum, for it vectorizes and depends on no order.
template <class Term>
inline float LaneMax(std::int64_t count, Term&& term) {
  std::int32_t largest = ToOrdered(-std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t ordered = ToOrdered(term(i));
    largest = largest > ordered ? largest : ordered;
  }
  return FromOrdered(largest);
}

/// The larger of two magnitudes (sign bits clear). They order like their bits, and NaN's are the largest: NaN wins.
inline float MaxMagnitude(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) > std::bit_cast<std::uint32_t>(b) ? a : b;
}

/// The largest |term(i)| for i in [0, count), at least `start`; NaN if any is NaN.
template <class Term>
inline float LaneAbsMax(std::int64_t count, float start, Term&& term) {
  std::uint32_t lanes[kLanes];
  for (std::uint32_t& lane : lanes) lane = std::bit_cast<std::uint32_t>(start);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(term(i + lane)) & 0x7fffffffu;
      lanes[lane] = lanes[lane] > bits ? lanes[lane] : bits;
    }
  }
  for (int lane = 0; i < count; ++i, ++lane) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(term(i)) & 0x7fffffffu;
    lanes[lane] = lanes[lane] > bits ? lanes[lane] : bits;
  }
  std::uint32_t largest = 0;
  for (const std::uint32_t lane : lanes) largest = largest > lane ? largest : lane;
  return std::bit_cast<float>(largest);
}

}  // namespace coat::cpu
