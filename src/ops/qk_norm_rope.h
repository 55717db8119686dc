#pragma once

#include <cstdint>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

// OLMo 2 normalizes queries and keys before it rotates them: RMSNorm with a weight over all heads of a token at once.
// Queries, keys and values lie side by side as in ops/rope.h: qkv [N, (H + 2 Hk) K]; a token's position is its row
// modulo T. The projection's own output is what backward needs, so it is what a run keeps; the rotated copy that
// attention reads is made from it by the same call, with the same bytes, once before each of attention's directions.
// There is no clamp (clip_qkv).

struct QkNormRopeForwardArgs {
  ConstTensorView qkv;        // [N, (H + 2 Hk) K] f32 or bf16, as the projection leaves it
  ConstTensorView q_weight;   // [H K] f32
  ConstTensorView k_weight;   // [Hk K] f32
  ConstTensorView table;      // [T, K] f32: cos of K/2 frequencies, then sin (FillRotaryTable)
  TensorView rotated;         // as qkv, written; may be qkv itself
  TensorView q_rstd;          // [N] f32, written
  TensorView k_rstd;          // [N] f32, written
  std::int64_t heads = 0;     // H
  std::int64_t kv_heads = 0;  // Hk
  float eps = 1e-6f;
};

/// rotated = rope(weight * (x * rstd)) of each token's queries, H K wide, and of its keys, Hk K wide, each with its own
/// rstd as RmsNorm's; values are copied.
///
/// Rounding: float32 through norm and rotation, once to qkv's type. Exactness: both rstd within the relative error
/// (W/16 + 8) 2^-24, W being the width; rotated bitwise given them. Rows that overflow, NaN and infinity as RmsNorm.
/// Throws ArgumentError unless shapes, types and devices are as above, K is even and N is a multiple of T.
/// Source: OLMo's attention_layer_norm and RotaryEmbedding (rope_full_precision), which round to bf16 in between.
void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args);

struct QkNormRopeBackwardArgs {
  ConstTensorView qkv;       // [N, (H + 2 Hk) K] f32 or bf16, what forward was given
  ConstTensorView q_weight;  // [H K] f32
  ConstTensorView k_weight;  // [Hk K] f32
  ConstTensorView q_rstd;    // [N] f32
  ConstTensorView k_rstd;    // [N] f32
  ConstTensorView table;     // [T, K] f32
  TensorView d_qkv;          // as qkv: the gradient of `rotated`, made that of qkv in place
  TensorView d_q_weight;     // [H K] f32 or bf16, written, or added to with `accumulate`
  TensorView d_k_weight;     // [Hk K] of the same type, likewise
  TensorView absmax = {};    // [1] f32, the largest magnitude of the new d_qkv; written when given
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  bool accumulate = false;
};

/// Gradient of QkNormRopeForward: the opposite rotation, then as RmsNormBackward for queries and for keys; values' part
/// of d_qkv stays.
///
/// Rounding: float32 throughout, d_qkv once to its type; weights' gradients as RmsNormBackward. Exactness: bound: that
/// of RmsNormBackward, with (|d_a| + |d_b|) for |d_y|, d_a and d_b being the pair's gradients. Throws ArgumentError as
/// QkNormRopeForward does. Source: the derivative of QkNormRopeForward.
void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args);

namespace cpu {
void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args);
void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args);
void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
