#pragma once

#include <cstdint>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

// Queries, keys and values lie side by side as the fused projection leaves them: qkv [N, (H + 2 Hk) K], N = B T tokens,
// H query heads, Hk key and value heads, K columns a head. A token's position is its row modulo T.

struct RopeForwardArgs {
  TensorView qkv;         // [N, (H + 2 Hk) K] f32 or bf16, rotated in place
  ConstTensorView table;  // [T, K] f32: cos of K/2 frequencies, then sin (FillRotaryTable)
  TensorView clip_mask =
      {};                  // [N, (H + 2 Hk) K / 8] u8, one bit an element, 1 where not clipped; with clip only; written
  std::int64_t heads = 0;  // H
  std::int64_t kv_heads = 0;  // Hk
  float clip = 0.0f;          // clamp all of qkv to +-clip first; 0 means no clamp
};

/// Clamp, then rotary embedding of queries and keys in place: pair (j, j + K/2) of a head turns by position *
/// frequency_j.
///
/// Values are only clamped. Rounding: float32, once to qkv's type. Exactness: bitwise.
/// The mask's bit i of byte b is element 8 b + i of the row. An element equal to +-clip, or NaN, counts as not clipped.
/// Throws ArgumentError unless shapes, types and devices are as above, K is even, N is a multiple of T, clip is finite
/// and not negative, and, with a mask, rows are a multiple of 8 wide.
/// Source: OLMo's RotaryEmbedding (half rotation, as GPT-NeoX), rope_full_precision; clip_qkv.
void RopeForward(Context& ctx, const RopeForwardArgs& args);

struct RopeBackwardArgs {
  TensorView d_qkv;                // [N, (H + 2 Hk) K] f32 or bf16, changed in place
  ConstTensorView table;           // [T, K] f32
  ConstTensorView clip_mask = {};  // as written by the forward op; no clamp when missing
  TensorView absmax = {};          // [1] f32, the largest magnitude of the new d_qkv; written when given
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
};

/// Gradient of RopeForward in place: the opposite rotation of queries' and keys' gradients, then 0 where clipped.
///
/// Rounding: float32, once to d_qkv's type. Exactness: bitwise. Throws ArgumentError as RopeForward does. Source: the
/// derivative of RopeForward.
void RopeBackward(Context& ctx, const RopeBackwardArgs& args);

/// Fills table [T, K] f32 on the host's memory: cos and sin of p * theta^(-2j/K), frequencies and angles rounded to
/// float32 as OLMo does, cos and sin rounded once from double. Throws ArgumentError unless table is on cpu and K is
/// even.
void FillRotaryTable(TensorView table, double theta);

namespace cpu {
void RopeForward(Context& ctx, const RopeForwardArgs& args);
void RopeBackward(Context& ctx, const RopeBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void RopeForward(Context& ctx, const RopeForwardArgs& args);
void RopeBackward(Context& ctx, const RopeBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
