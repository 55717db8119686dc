#pragma once
// Coefficients by which gradients are multiplied so that their norms stay within limits. On the device, so that a step
// waits for nothing on the host.

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct TotalNormArgs {
  ConstTensorView norms;  // [P] f32, L2 norms of the P tensors
  TensorView total_norm;  // [1] f32, written
};

/// The L2 norm of all tensors together, from those of each. Infinities stay visible, and NaN as 0x7fc00000.
///
/// Rounding: in double, in order; the root once to float32. Exactness: bitwise. Throws ArgumentError unless types,
/// shapes and devices are as above. Source: OLMo's total gradient norm in clip_grads_and_collect_metrics.
void TotalNorm(Context& ctx, const TotalNormArgs& args);

struct ClipCoefficientsArgs {
  ConstTensorView total_norm;  // [1] f32
  TensorView coefficients;     // [P] f32, written: all the same
  float max_norm = 1.0f;       // above 0; infinity does not clip
};

/// coefficient = min(1, max_norm / (total_norm + 1e-6)) for every tensor; 1 if the norm is NaN.
///
/// Rounding: each operation once in float32. Exactness: bitwise. Throws ArgumentError unless types, shapes, devices and
/// max_norm are as above. Source: OLMo's _do_global_fixed_clipping.
void ClipCoefficients(Context& ctx, const ClipCoefficientsArgs& args);

struct AdaptiveClipCoefficientsArgs {
  ConstTensorView norms;        // [P] f32
  TensorView norm_averages;     // [P] f32, moving averages of the clipped norms, 0 where there is none yet; updated
  TensorView coefficients;      // [P] f32, written
  float max_norm_ratio = 1.0f;  // above 0
  float beta = 0.0f;            // decay of the averages, from 0 to below 1
};

/// For each tensor, with a = norm_average or, if that is 0, the norm: coefficient c = min(1, max_norm_ratio * a / (norm
/// + 1e-6)), then norm_average = a + (1 - beta) * (c * norm - a).
///
/// Rounding: each operation once in float32. Exactness: bitwise. Throws ArgumentError unless types, shapes, devices and
/// numbers are as above. Source: OLMo's _do_adaptive_clipping; there a norm of 0 at the start makes the average, and
/// with it every later gradient, 0 for good.
void AdaptiveClipCoefficients(Context& ctx, const AdaptiveClipCoefficientsArgs& args);

namespace cpu {
void TotalNorm(Context& ctx, const TotalNormArgs& args);
void ClipCoefficients(Context& ctx, const ClipCoefficientsArgs& args);
void AdaptiveClipCoefficients(Context& ctx, const AdaptiveClipCoefficientsArgs& args);
}  // namespace cpu
namespace cuda {
void TotalNorm(Context& ctx, const TotalNormArgs& args);
void ClipCoefficients(Context& ctx, const ClipCoefficientsArgs& args);
void AdaptiveClipCoefficients(Context& ctx, const AdaptiveClipCoefficientsArgs& args);
}  // namespace cuda

}  // namespace coat
