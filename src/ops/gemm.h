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
};

/// Matrix product of two operands in the same family of formats: d = a b, or d += a b.
///
/// Rows: f32 x f32 -> f32; bf16 x bf16 -> f32 or bf16; FP8/t x FP8/t -> f32 or bf16 (kNT); FP8/g128 with f32 scales x
/// FP8/b128 or FP8/g128 -> f32 or bf16 (kNT). e5m2 x e5m2 does not exist on the hardware and is refused.
/// Rounding: products and sums in float32 (order not specified but fixed for given shapes); per-tensor scales multiply
/// the sum; with `accumulate` d is added in float32; one rounding to d's type. Exactness: bound: |d - exact| <= (K + 2)
/// 2^-24 (sum|a b| + |d before, if added to|) + half an ulp of d's type, where nothing underflows. Exact on integers
/// within 2^24. Throws ArgumentError unless shapes, formats and devices are as above, and K > 0.
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
