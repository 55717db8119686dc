#pragma once
// bfloat16 products on tensor cores, as a warp sees them: C [16, 8] += A [16, 16] B [16, 8], C in float32.
//
// A fragment is a lane's part of a matrix. With g = lane / 4 and p = 2 (lane % 4), pairs of neighbors in a word:
//   A: (g, p), (g + 8, p), (g, p + 8), (g + 8, p + 8), each with the element to its right;
//   B: (p, g), (p + 8, g), each with the element below it;
//   C: (g, p), (g, p + 1), (g + 8, p), (g + 8, p + 1).
// Source: NVIDIA's PTX manual, mma.m16n8k16 and ldmatrix.

#include <cstdint>

namespace coat::cuda {

struct FragmentA {
  std::uint32_t words[4];
};
struct FragmentB {
  std::uint32_t words[2];
};
using FragmentC = float[4];

/// Four 8 x 8 matrices of 16-bit elements from shared memory. Lane l gives the address of row l % 8 of matrix l / 8, a
/// multiple of 16 bytes; word m is (g, p) and (g, p + 1) of matrix m.
__device__ inline void LoadMatrices(const void* row, std::uint32_t (&words)[4]) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// The same of the transposes: word m is (p, g) and (p + 1, g) of matrix m.
__device__ inline void LoadTransposedMatrices(const void* row, std::uint32_t (&words)[4]) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

__device__ inline void MultiplyAdd(const FragmentA& a, const FragmentB& b, FragmentC& c) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b.words[0]), "r"(b.words[1]));
}

/// Two values rounded to nearest bfloat16, the first in the low half.
__device__ inline std::uint32_t PackBFloat16(float first, float second) {
  std::uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  return word;
}

}  // namespace coat::cuda
