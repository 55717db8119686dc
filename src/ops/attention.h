#pragma once

#include <cstdint>

#include "base/context.h"
#include "base/head_size.h"
#include "base/tensor.h"

namespace coat {

// Layout of qkv and letters as in ops/rope.h; query head j reads key and value head j / (H / Hk).

struct AttentionForwardArgs {
  ConstTensorView qkv;             // [N, (H + 2 Hk) K] f32 or bf16, after RoPE
  TensorView out;                  // [N, H K] of qkv's type, written
  TensorView lse;                  // [B, H, T] f32: log of the sum of exp of a query's scaled scores; written
  ConstTensorView documents = {};  // [N] i32: the position in its sequence at which a token's document begins
  std::int64_t heads = 0;          // H
  std::int64_t kv_heads = 0;       // Hk
};

/// Causal attention, scores scaled by 1 / sqrt(K): out = softmax(q k^T / sqrt(K)) v for each sequence and head.
///
/// B and T come from lse's shape. A position reads nothing after itself and, with `documents`, nothing before the
/// document that it is part of; positions count from the start of the sequence all the same. Starts of documents must
/// be as data/documents.h makes them: along a sequence they do not fall, and none lies after its token. Starts that are
/// not so give other numbers, but nothing outside the tensors is read or written. A NaN or infinity in a value may also
/// reach the 255 positions before it, and with `documents` the 255 after it. Rounding: operands exact, scores, softmax
/// and sums in float32, one rounding to out's type. Exactness: bound: with S the largest sum of |q k| / sqrt(K) of a
/// query and U = (T + (K + 2) S + 16) eps_f32, out is within U max|v| plus half an ulp, lse within U + 2 ulp. Where
/// scores that err by U move out by less, that and (T + 16) eps_f32 sum(p |v|) is the bound: a key whose score leads by
/// far more than 2 U has all the weight. For bf16, a backend may round probabilities to bf16 and err by 2^-8 sum(p |v|)
/// more. Repeats bit for bit on one machine, for any number of threads. Throws ArgumentError unless shapes, types and
/// devices are as above, B T = N, Hk divides H and K is in [1, kMaxHeadSize]. Source of `documents`: OLMo's doc_lens,
/// which flash-attention's variable-length kernels take.
void AttentionForward(Context& ctx, const AttentionForwardArgs& args);

struct AttentionBackwardArgs {
  ConstTensorView qkv;             // [N, (H + 2 Hk) K] f32 or bf16
  ConstTensorView out;             // [N, H K] of qkv's type, as written by the forward op
  ConstTensorView lse;             // [B, H, T] f32
  ConstTensorView d_out;           // [N, H K] of qkv's type
  TensorView d_qkv;                // [N, (H + 2 Hk) K] of qkv's type, written
  ConstTensorView documents = {};  // [N] i32, those of the forward op
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
};

/// Gradients of queries, keys and values; probabilities are recomputed from lse.
///
/// Rounding: float32 within, one rounding to d_qkv's type; that of `out` enters through sum(d_out out). Exactness:
/// bound: the first-order propagation of these roundings (attention_cases.cpp). For bf16, a backend may round
/// probabilities and gradients of scores to bf16, and err by 2^-8 of every term more; where query heads share a key
/// head, it may round what each of them adds to a key and a value to bf16, and err by half an ulp of each more; and it
/// need not keep the recomputed probabilities from exceeding 1, which they do by the rounding of a score: much where
/// scores are beyond 10^5. The query heads that share a key head are summed in a fixed order, so the result repeats bit
/// for bit (on CUDA devices as long as CudaOptions.deterministic_attention is set). Throws ArgumentError as the forward
/// op. Source: the derivative of AttentionForward, in the form of FlashAttention-2 (arXiv:2307.08691).
void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args);

namespace cpu {
void AttentionForward(Context& ctx, const AttentionForwardArgs& args);
void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void AttentionForward(Context& ctx, const AttentionForwardArgs& args);
void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
