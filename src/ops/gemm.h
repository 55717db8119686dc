#pragma once

#include <cstdint>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

/// Which operand lies transposed in memory. FP8 operands take kNT only, as tensor cores want them: K contiguous in
/// both.
enum class GemmLayout : std::uint8_t {
  kNT,  // a [M, K], b [N, K]: a linear layer's output
  kNN,  // a [M, K], b [K, N]: the gradient of its input
  kTN,  // a [K, M], b [K, N]: the gradient of its weight
};

struct GemmArgs {
  ConstQuantizedView a;  // see GemmLayout; formats below
  ConstQuantizedView b;
  TensorView d;  // [M, N] f32 or bf16, written, or added to
  GemmLayout layout = GemmLayout::kNT;
  bool accumulate = false;
  /// FP8 operands with one scale a tensor: may sum with fewer bits, as Hopper's tensor cores do when they run fastest.
  /// No effect on other formats and other devices.
  bool fast_accumulation = false;
};

/// Matrix product of two operands in the same family of formats: d = a b, or d += a b.
///
/// Rows: f32 x f32 -> f32; bf16 x bf16 -> f32 or bf16; FP8/t x FP8/t -> f32 or bf16 (kNT); FP8/g128 with f32 scales x
/// FP8/b128 or FP8/g128 -> f32 or bf16 (kNT). e5m2 x e5m2 does not exist on the hardware and is refused.
/// Rounding: products and sums in float32 (order not specified but fixed for given shapes); per-tensor scales multiply
/// the sum; with `accumulate` d is added in float32; one rounding to d's type. Exactness: bound: |d - exact| <= (K + 2)
/// 2^-24 (sum|a b| + |d before, if added to|) + half an ulp of d's type, where nothing underflows. Exact on integers
/// within 2^24.
///
/// With `accumulate` into bf16, another backend may round the product to bf16 before d is added: the bound gains half
/// an ulp of bf16 of the product, and the sum of integers is that of the rounded product and d, rounded.
///
/// FP8 operands on CUDA: tensor cores align 32 products and the sum so far to the largest of them and cut off what lies
/// below its 14th bit; a sum leaves them after R <= min(K, 128) products, or with fast_accumulation after R = K. Each
/// of the 33/32 R addends so loses at most 2^-13 of the largest, and the bound gains (33/32 R + 1) 2^-13 sum|a b|; with
/// products of random signs, the root mean square error over d gains sqrt((33/32 R + 1) / 3) 2^-13 of sum|a b|^2's
/// root. Sums of integers stay exact while they are within 2^13 before they leave. Where FP8 operands are decoded for
/// bf16 tensor cores (cuda::GemmMode), per-tensor formats are exact in bf16 and keep the general bound; codes times
/// scales of groups and blocks are rounded to bf16 first, and the bound gains 2^-7 (1 + 2^-9) sum|a b|.
///
/// Throws ArgumentError unless shapes, formats and devices are as above, and K > 0. FP8 tensor cores also want K and N
/// to be multiples of 16, with scales of groups or blocks M to be one of 4, and addresses of 16 bytes. Source: torch's
/// linear; COAT's FP8 linear layers, forward and backward.
void Gemm(Context& ctx, const GemmArgs& args);

/// M, N, K of a product; for callers that count work.
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
};
GemmShape ShapeOf(const GemmArgs& args);

namespace cpu {
void Gemm(Context& ctx, const GemmArgs& args);
}  // namespace cpu
namespace cuda {
void Gemm(Context& ctx, const GemmArgs& args);
}  // namespace cuda

}  // namespace coat
