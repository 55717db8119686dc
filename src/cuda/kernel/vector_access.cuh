#pragma once
// Loads and stores of several elements in one access, as arrays of floats.
//
// Addresses of plain elements must be multiples of 16 bytes, those of codes multiples of their count.

#include <cstdint>
#include <type_traits>

#include "cuda/kernel/fp8.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

/// Elements of a plain type in one access of 16 bytes: 4 float, 8 bfloat16.
template <class T>
inline constexpr int kVectorElements = 16 / static_cast<int>(sizeof(T));

/// Whether `address` is a multiple of 16 bytes.
inline bool IsAligned16(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

/// How many of `elements` lie before the first address that is a multiple of 16 bytes.
template <class T>
std::int64_t ElementsBeforeVectors(const T* address, std::int64_t elements) {
  const auto beyond = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(address) % 16 / sizeof(T));
  const std::int64_t before = beyond == 0 ? 0 : kVectorElements<T> - beyond;
  return before < elements ? before : elements;
}

/// values = the kCount elements from `address` on, a multiple of kVectorElements<T>; one 16-byte load a vector.
template <class T, int kCount>
__device__ inline void LoadValues(const T* address, float (&values)[kCount]) {
  constexpr int kVector = kVectorElements<T>;
  static_assert(kCount % kVector == 0);
#pragma unroll
  for (int i = 0; i < kCount; i += kVector) {
    const uint4 loaded = *reinterpret_cast<const uint4*>(address + i);
    const std::uint32_t words[4] = {loaded.x, loaded.y, loaded.z, loaded.w};
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if constexpr (std::is_same_v<T, float>) {
        values[i + w] = __uint_as_float(words[w]);
      } else {
        values[i + 2 * w] = __uint_as_float(words[w] << 16);
        values[i + 2 * w + 1] = __uint_as_float(words[w] & 0xffff0000u);
      }
    }
  }
}

/// The reverse; values are rounded to T as RoundTo does.
template <class T, int kCount>
__device__ inline void StoreValues(T* address, const float (&values)[kCount]) {
  constexpr int kVector = kVectorElements<T>;
  static_assert(kCount % kVector == 0);
#pragma unroll
  for (int i = 0; i < kCount; i += kVector) {
    std::uint32_t words[4];
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if constexpr (std::is_same_v<T, float>) {
        words[w] = __float_as_uint(values[i + w]);
      } else {
        words[w] = RoundToBFloat16Pair(values[i + 2 * w], values[i + 2 * w + 1]);
      }
    }
    *reinterpret_cast<uint4*>(address + i) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// kCount codes in one load.
template <int kCount>
__device__ inline Codes<kCount> LoadCodes(const std::uint8_t* address) {
  return *reinterpret_cast<const Codes<kCount>*>(address);
}

/// kCount codes in one store.
template <int kCount>
__device__ inline void StoreCodes(std::uint8_t* address, const Codes<kCount>& codes) {
  *reinterpret_cast<Codes<kCount>*>(address) = codes;
}

/// values = the kCount elements from `address` on, decoded; one load.
template <class F, int kCount>
__device__ inline void LoadDecoded(const std::uint8_t* address, float (&values)[kCount]) {
  Decode<F>(LoadCodes<kCount>(address), values);
}

/// The codes of `values` under a scale given by its reciprocal; one store.
template <class F, int kCount>
__device__ inline void StoreEncoded(std::uint8_t* address, const float (&values)[kCount], float reciprocal_of_scale) {
  StoreCodes(address, EncodeScaled<F>(values, reciprocal_of_scale));
}

}  // namespace coat::cuda
