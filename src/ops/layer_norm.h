#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct AddLayerNormArgs {
  TensorView x;                 // [N, D] f32 or bf16, the residual stream; branch is added to it in place
  ConstTensorView branch = {};  // [N, D] of x's type; nothing is added when it is missing
  TensorView mean;              // [N] f32, written
  TensorView rstd;              // [N] f32, written
  TensorView y = {};            // [N, D] of x's type, the normalized rows; written when given
  TensorView absmax = {};       // [1] f32, the largest magnitude of the normalized rows; written when given
  float eps = 1e-5f;
};

/// Residual add and non-affine LayerNorm: x += branch; y = (x - mean) * rstd, rstd = 1 / sqrt(var + eps) for each row.
///
/// Rounding: x + branch in float32, rounded once to x's type; mean and population variance of the rounded row in
/// float32 (variance about the mean; 16 interleaved partial sums a row, added in a fixed tree); y in float32, rounded
/// once. absmax is that of the float32 y, which NormalizeQuantize encodes. Exactness: x bitwise; the rest bound, with
/// e = (D/16 + 8) 2^-24: mean within m = e mean|x|, rstd within the relative error e + m^2 / (2 (var + eps)), y within
/// what these two make of it and one rounding. In rows whose squares overflow float32 (|x| from 1e19 on) rstd and y are
/// 0. What is not finite in x is not finite in mean, rstd and y. Throws ArgumentError unless shapes, types and devices
/// are as above, and D > 0. Source: OLMo's LayerNorm "default" without weight and bias; COAT's residual add, which also
/// rounds to bf16.
void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args);

struct NormalizeQuantizeArgs {
  ConstTensorView x;       // [N, D] f32 or bf16, as AddLayerNorm left it
  ConstTensorView mean;    // [N] f32
  ConstTensorView rstd;    // [N] f32
  ConstTensorView absmax;  // [1] f32
  QuantizedView y;         // [N, D] e4m3 or e5m2 /t, written
};

/// Codes of the normalized rows: y = q((x - mean) * rstd), in one pass that never stores the float32 values.
///
/// Rounding: (x - mean) * rstd in float32 as in AddLayerNorm, then as Quantize. Exactness: bitwise given mean, rstd and
/// absmax. Throws ArgumentError unless shapes, types and devices are as above, and D > 0.
/// Source: COAT's LayerNorm; there its input is FP8, here it is the exact residual stream.
void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args);

struct LayerNormBackwardArgs {
  ConstQuantizedView y;    // [N, D] the normalized rows as they were kept: f32, bf16 or FP8/t
  ConstTensorView rstd;    // [N] f32
  ConstTensorView d_y;     // [N, D] f32 or bf16
  TensorView d_x;          // [N, D] of d_y's type, the gradient of the residual stream; added to unless `overwrite`
  TensorView absmax = {};  // [1] f32, the largest magnitude of the new d_x; written when given
  bool overwrite = false;
};

/// Gradient of LayerNorm, added to the residual stream's: d_x += (d_y - mean(d_y) - y mean(d_y y)) rstd for each row.
///
/// Rounding: y decoded to float32; both means as in AddLayerNorm; the result and the sum in float32, rounded once to
/// d_x's type; absmax is that of the rounded d_x. Exactness: bound: (D/16 + 16) 2^-24 times (|d_y| + mean|d_y| + |y|
/// mean|d_y y|) rstd, a float32 rounding of the sum and half an ulp of d_x, where nothing underflows. Throws
/// ArgumentError unless shapes, types and devices are as above, and D > 0. Source: the derivative of AddLayerNorm's
/// norm; COAT's LayerNorm.
void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args);

namespace cpu {
void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args);
void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args);
void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args);
void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args);
void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
