#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

// RMSNorm with a weight, as OLMo 2 has it: of the residual stream before the head, and of each half block's output
// before it is added to the stream ("norm after"). All of it is in float32 with the float32 master of the weight, and
// is rounded once at the end. (OLMo rounds the normalized row to bf16, multiplies by the weight in bf16 and rounds
// again before the residual add.)

struct RmsNormArgs {
  ConstTensorView x;       // [N, D] f32 or bf16
  ConstTensorView weight;  // [D] f32
  TensorView y;            // [N, D] of x's type, written
  TensorView rstd;         // [N] f32, written
  float eps = 1e-6f;
};

/// y = weight * (x * rstd), rstd = 1 / sqrt(mean(x^2) + eps) for each row.
///
/// Rounding: float32, y once to its type. Exactness: rstd within the relative error (D/16 + 8) 2^-24; y bitwise given
/// rstd. In rows whose squares overflow float32 (|x| from 1e19 on) rstd and what is finite of y are 0. A NaN in x makes
/// its row NaN, an infinity makes itself NaN. Throws ArgumentError unless shapes, types and devices are as above, and
/// D > 0. Source: OLMo's RMSLayerNorm.
void RmsNorm(Context& ctx, const RmsNormArgs& args);

struct AddRmsNormArgs {
  ConstTensorView x;        // [N, D] f32 or bf16, the residual stream
  ConstTensorView branch;   // [N, D] of x's type
  ConstTensorView weight;   // [D] f32
  TensorView y;             // [N, D] of x's type, the new residual stream, written; may be x itself
  TensorView rstd;          // [N] f32, that of the branch, written
  QuantizedView kept = {};  // [N, D] e4m3 or e5m2 /gG, bf16 scales: the branch for backward; written when given
  TensorView absmax = {};   // [1] f32, the largest magnitude of y; written when given
  float eps = 1e-6f;
};

/// Norm of a half block's output and residual add: y = x + weight * (branch * rstd), rstd as RmsNorm's of the branch.
///
/// Backward needs the branch and rstd: without `kept` the caller keeps the branch itself, which is not changed.
/// Rounding: float32, y once to its type; kept as Quantize; absmax is that of the rounded y. Exactness: rstd as
/// RmsNorm's; y and absmax bitwise given rstd; kept bitwise, the same bytes as Quantize of branch. Rows that overflow,
/// NaN and infinity in branch as RmsNorm. Throws ArgumentError unless shapes, formats and devices are as above, and D >
/// 0. Source: OLMo's block with norm_after.
void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args);

struct RmsNormBackwardArgs {
  ConstQuantizedView x;    // [N, D] the norm's input as it was kept: of d_y's type, or e4m3 or e5m2 /gG, bf16 scales
  ConstTensorView weight;  // [D] f32
  ConstTensorView rstd;    // [N] f32
  ConstTensorView d_y;     // [N, D] f32 or bf16
  TensorView d_x;          // [N, D] of d_y's type, written; not d_y itself
  TensorView d_weight;     // [D] f32 or bf16, written, or added to with `accumulate`
  TensorView absmax = {};  // [1] f32, the largest magnitude of d_x; written when given
  bool accumulate = false;
};

/// Gradient of RmsNorm, and of AddRmsNorm for its branch: with n = x * rstd and g = d_y * weight,
/// d_x = (g - n mean(g n)) rstd for each row, d_weight = sum over rows of d_y n. (AddRmsNorm's x has the gradient d_y.)
///
/// Rounding: x decoded to float32; everything in float32, d_x once to its type; d_weight's sum is added to what is
/// there in float32 and rounded once; absmax is that of the rounded d_x. Exactness: bound: d_x within (D/16 + 16) 2^-24
/// times (|g| + |n| mean|g n|) rstd and half an ulp; d_weight's sum within (N/512 + 32) 2^-24 sum|d_y n|, a float32
/// rounding of the result and half an ulp, where nothing underflows. The order of its additions is a matter of shape
/// alone. Throws ArgumentError unless shapes, formats and devices are as above, and D > 0. Source: the derivative of
/// RmsNorm.
void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args);

namespace cpu {
void RmsNorm(Context& ctx, const RmsNormArgs& args);
void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args);
void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void RmsNorm(Context& ctx, const RmsNormArgs& args);
void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args);
void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
