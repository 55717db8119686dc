#pragma once
// The largest magnitude of elements as they are stored, without making floats of them.

#include <cstdint>
#include <type_traits>

#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/packed.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

/// What a thread has seen of the largest magnitude of elements of type T (float or BFloat16), NaN above all. Exact, in
/// any order.
template <class T>
class Largest {
 public:
  /// Sixteen bytes of elements.
  __device__ void Take(const uint4& word) {
    constexpr std::uint32_t kMagnitudes = kIsFloat ? 0x7fffffffu : 0x7fff7fffu;
    const std::uint32_t bits[4] = {word.x & kMagnitudes, word.y & kMagnitudes, word.z & kMagnitudes,
                                   word.w & kMagnitudes};
    if constexpr (kIsFloat) {
      bits_ = max(bits_, max(max(bits[0], bits[1]), max(bits[2], bits[3])));
    } else {
      bits_ = __vimax3_u16x2(__vimax3_u16x2(bits_, bits[0], bits[1]), bits[2], bits[3]);
    }
  }

  __device__ void Take(T element) {
    const std::uint32_t magnitude = MagnitudeBits(ToFloat(element));
    bits_ = kIsFloat ? max(bits_, magnitude) : __vmaxu2(bits_, magnitude);
  }

  template <int kCount>
  __device__ void Take(const Packed<T, kCount>& elements) {
#pragma unroll
    for (int i = 0; i < Packed<T, kCount>::kWords; ++i) Take(elements.words[i]);
  }

  /// The magnitude as MagnitudeBits gives it.
  __device__ std::uint32_t bits() const {
    return kIsFloat ? bits_ : max(bits_ << 16, bits_ & 0xffff0000u);
  }

 private:
  static constexpr bool kIsFloat = std::is_same_v<T, float>;

  std::uint32_t bits_ = 0;  // of BFloat16: the largest of two streams, in either half
};

/// The larger magnitudes of elements in the same place.
template <class T>
__device__ inline Packed<T, 8> LargerMagnitudes(const Packed<T, 8>& a, const Packed<T, 8>& b) {
  Packed<T, 8> larger;
#pragma unroll
  for (int i = 0; i < Packed<T, 8>::kWords; ++i) {
    const auto of = [](std::uint32_t x, std::uint32_t y) {
      if constexpr (std::is_same_v<T, float>) {
        return max(x & 0x7fffffffu, y & 0x7fffffffu);
      } else {
        return __vmaxu2(x & 0x7fff7fffu, y & 0x7fff7fffu);
      }
    };
    larger.words[i] = make_uint4(of(a.words[i].x, b.words[i].x), of(a.words[i].y, b.words[i].y),
                                 of(a.words[i].z, b.words[i].z), of(a.words[i].w, b.words[i].w));
  }
  return larger;
}

/// What the lane whose number differs in the bits of `mask` holds. All lanes of a warp call it.
template <class T>
__device__ inline Packed<T, 8> ShuffleXor(const Packed<T, 8>& elements, int mask) {
  Packed<T, 8> other;
#pragma unroll
  for (int i = 0; i < Packed<T, 8>::kWords; ++i) {
    other.words[i] = make_uint4(
        __shfl_xor_sync(kAllLanes, elements.words[i].x, mask), __shfl_xor_sync(kAllLanes, elements.words[i].y, mask),
        __shfl_xor_sync(kAllLanes, elements.words[i].z, mask), __shfl_xor_sync(kAllLanes, elements.words[i].w, mask));
  }
  return other;
}

}  // namespace coat::cuda
