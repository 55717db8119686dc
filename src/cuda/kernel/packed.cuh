#pragma once
// Elements kept in registers as they lie in memory: bfloat16 takes half of the registers that floats would take.

#include <cstdint>
#include <type_traits>

#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"

namespace coat::cuda {

/// kCount elements of a plain type: 8, in 16-byte words, whose addresses are multiples of 16 bytes; or 1 at any
/// address.
template <class T, int kCount>
struct Packed {
  static_assert(kCount == 1 || kCount == 8);
  using Word = std::conditional_t<kCount == 1, T, uint4>;
  static constexpr int kWords = kCount == 1 ? 1 : kCount / kVectorElements<T>;

  Word words[kWords];

  __device__ static Packed Load(const T* address) {
    Packed packed;
#pragma unroll
    for (int i = 0; i < kWords; ++i) packed.words[i] = reinterpret_cast<const Word*>(address)[i];
    return packed;
  }

  __device__ void Store(T* address) const {
#pragma unroll
    for (int i = 0; i < kWords; ++i) reinterpret_cast<Word*>(address)[i] = words[i];
  }

  /// The elements as floats, exactly.
  __device__ void Unpack(float (&values)[kCount]) const {
    if constexpr (kCount == 1) {
      values[0] = ToFloat(words[0]);
    } else {
      LoadValues(reinterpret_cast<const T*>(words), values);
    }
  }

  /// Floats rounded to T as RoundTo does.
  __device__ static Packed Of(const float (&values)[kCount]) {
    Packed packed;
    if constexpr (kCount == 1) {
      packed.words[0] = RoundTo<T>(values[0]);
    } else {
      StoreValues(reinterpret_cast<T*>(packed.words), values);
    }
    return packed;
  }
};

}  // namespace coat::cuda
