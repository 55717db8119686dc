#pragma once
// NumPy's default random stream, bit for bit: SeedSequence, PCG64 and Generator.shuffle of a 1-D array.
//
// Only what the order of the training data needs. The same seed gives the same order as
// numpy.random.Generator(numpy.random.PCG64(seed)).shuffle(array), on every machine and at every version of NumPy so
// far.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace coat {

/// NumPy's SeedSequence(seed).generate_state(4, uint64): 256 well mixed bits from a seed.
///
/// Source: numpy/random/bit_generator.pyx, after M. E. O'Neill's seed_seq_fe128.
inline std::array<std::uint64_t, 4> NumpySeedState(std::uint64_t seed) {
  constexpr std::size_t kPoolSize = 4;
  const std::array<std::uint32_t, kPoolSize> entropy = {static_cast<std::uint32_t>(seed),
                                                        static_cast<std::uint32_t>(seed >> 32), 0, 0};
  std::uint32_t hash_constant = 0x43b0d7e5u;
  const auto hash = [&hash_constant](std::uint32_t value) {
    value ^= hash_constant;
    hash_constant *= 0x931e8875u;
    value *= hash_constant;
    return value ^ (value >> 16);
  };
  std::array<std::uint32_t, kPoolSize> pool;
  for (std::size_t i = 0; i < kPoolSize; ++i) {
    pool[i] = hash(entropy[i]);
  }
  for (std::size_t from = 0; from < kPoolSize; ++from) {
    for (std::size_t to = 0; to < kPoolSize; ++to) {
      if (to != from) {
        const std::uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * hash(pool[from]);
        pool[to] = mixed ^ (mixed >> 16);
      }
    }
  }
  std::uint32_t output_constant = 0x8b51f9ddu;
  const auto output = [&](std::size_t i) -> std::uint64_t {
    std::uint32_t value = pool[i % kPoolSize] ^ output_constant;
    output_constant *= 0x58f38dedu;
    value *= output_constant;
    return value ^ (value >> 16);
  };
  std::array<std::uint64_t, 4> state;
  for (std::size_t i = 0; i < state.size(); ++i) {
    const std::uint64_t low = output(2 * i);
    state[i] = low | output(2 * i + 1) << 32;
  }
  return state;
}

/// The generator PCG64 (XSL-RR 128/64), seeded as NumPy seeds it. Not thread-safe.
class Pcg64 {
 public:
  explicit Pcg64(std::uint64_t seed) {
    const std::array<std::uint64_t, 4> words = NumpySeedState(seed);
    increment_ = (Join(words[2], words[3]) << 1) | 1;
    Step();
    state_ += Join(words[0], words[1]);
    Step();
  }

  std::uint64_t Next64() {
    Step();
    const std::uint64_t folded = static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_);
    return std::rotr(folded, static_cast<int>(state_ >> 122));
  }

  /// The low half of a fresh 64-bit number, then its high half on the next call.
  std::uint32_t Next32() {
    if (has_high_half_) {
      has_high_half_ = false;
      return high_half_;
    }
    const std::uint64_t both = Next64();
    has_high_half_ = true;
    high_half_ = static_cast<std::uint32_t>(both >> 32);
    return static_cast<std::uint32_t>(both);
  }

  /// A uniform number of [0, max], by rejection under the smallest mask of ones that covers `max`.
  std::uint32_t NextUpTo(std::uint32_t max) {
    if (max == 0) {
      return 0;
    }
    const std::uint32_t mask = 0xffffffffu >> std::countl_zero(max);
    std::uint32_t value = Next32() & mask;
    while (value > max) {
      value = Next32() & mask;
    }
    return value;
  }

 private:
  __extension__ using Uint128 = unsigned __int128;

  static constexpr Uint128 Join(std::uint64_t high, std::uint64_t low) { return Uint128{high} << 64 | low; }

  void Step() { state_ = state_ * Join(2549297995355413924u, 4865540595714422341u) + increment_; }

  Uint128 state_ = 0;
  Uint128 increment_ = 0;
  bool has_high_half_ = false;
  std::uint32_t high_half_ = 0;
};

/// Shuffles in place as NumPy's Generator.shuffle does: Fisher-Yates from the end. At most 2^32 values.
inline void Shuffle(std::span<std::uint32_t> values, Pcg64& random) {
  for (std::size_t i = values.size(); i-- > 1;) {
    std::swap(values[i], values[random.NextUpTo(static_cast<std::uint32_t>(i))]);
  }
}

}  // namespace coat
