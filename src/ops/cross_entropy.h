#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct CrossEntropyArgs {
  TensorView logits;         // [N, E] f32 or bf16; with `gradient` their gradient is written over them
  ConstTensorView labels;    // [N] i32; a negative label is ignored: loss, z_squared and gradient are 0
  TensorView loss;           // [N] f32: -log softmax(z)[label]; written
  TensorView z_squared;      // [N] f32: logsumexp(z)^2; written
  float logit_scale = 1.0f;  // z = logit_scale * logits (OLMo's scale_logits)
  ConstTensorView weights;   // [2] f32, with `gradient`: what loss and z_squared count in the objective
  bool gradient = true;
};

/// Cross entropy and z-loss of each row, and the gradient of weights[0] * loss + weights[1] * z_squared, in place.
///
/// The weights are 1 / (number of predicted positions) and auxiliary_loss_multiplier / (number of predicted positions),
/// both of the whole step. They change from step to step, so they are on the device: recorded work stays as it is.
///
/// Rounding: float32 within (numerics/elementary.h; sums as 16 interleaved partial sums), the gradient once to logits'
/// type. Exactness: bound: with U = (E/16 + 16) eps_f32 and L = max(1, |logsumexp|), loss is within U max(L, |loss|),
/// z_squared within 2 U L^2, the gradient within U L |logit_scale| (weights[0] + 2 weights[1] L) plus half an ulp.
/// Throws ArgumentError unless shapes, types and devices are as above, E > 0 and logit_scale is finite. Labels must be
/// below E: checked where data enters, not here. Source: OLMo's cross_entropy_loss with z-loss.
void CrossEntropy(Context& ctx, const CrossEntropyArgs& args);

namespace cpu {
void CrossEntropy(Context& ctx, const CrossEntropyArgs& args);
}  // namespace cpu
namespace cuda {
void CrossEntropy(Context& ctx, const CrossEntropyArgs& args);
}  // namespace cuda

}  // namespace coat
