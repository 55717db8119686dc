#pragma once
// Attention of new tokens to all tokens before them, for generation: keys and values are kept instead of made again.

#include <cstdint>

#include "base/context.h"
#include "base/tensor.h"
#include "ops/attention.h"

namespace coat {

// Letters and qkv as in ops/rope.h; one sequence. The cache has a row a position: its Hk keys, then its Hk values.
// Where tokens stand is data, not an argument, so that recorded work can be replayed for the next token.

struct StoreKeysValuesArgs {
  ConstTensorView qkv;        // [N, (H + 2 Hk) K] f32 or bf16, after RoPE
  ConstTensorView positions;  // [N] i32, no two equal, each in [0, T): checked where they are made, not here
  TensorView cache;           // [T, 2 Hk K] of qkv's type; rows `positions` are written, no others
  std::int64_t heads = 0;     // H
  std::int64_t kv_heads = 0;  // Hk
};

/// cache[positions[n]] = keys and values of token n. Rounding: none. Exactness: bitwise. Throws ArgumentError unless
/// shapes, types and devices are as above. Source: OLMo's layer_past.
void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args);

struct CachedAttentionArgs {
  ConstTensorView qkv;        // [N, (H + 2 Hk) K] f32 or bf16, after RoPE; only the queries are read
  ConstTensorView positions;  // [N] i32, each in [0, T): checked where they are made, not here
  ConstTensorView cache;      // [T, 2 Hk K] of qkv's type
  TensorView out;             // [N, H K] of qkv's type, written
  std::int64_t heads = 0;     // H
  std::int64_t kv_heads = 0;  // Hk
};

/// out[n] = softmax(q k^T / sqrt(K)) v over the rows [0, positions[n]] of the cache, for each head; others are not
/// read.
///
/// Rounding: operands exact, scores, softmax and sums in float32, one rounding to out's type. Exactness: bound: as
/// AttentionForward's `out`, with positions[n] + 1 for T; on no backend are probabilities rounded. Repeats bit for bit
/// on one machine, for any number of threads. Throws ArgumentError unless shapes, types and devices are as above, Hk
/// divides H and K is in [1, kMaxHeadSize]. Source: OLMo's attention with layer_past.
void CachedAttention(Context& ctx, const CachedAttentionArgs& args);

namespace cpu {
void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args);
void CachedAttention(Context& ctx, const CachedAttentionArgs& args);
}  // namespace cpu
namespace cuda {
void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args);
void CachedAttention(Context& ctx, const CachedAttentionArgs& args);
}  // namespace cuda

}  // namespace coat
