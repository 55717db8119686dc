#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "nn/norm_weight.h"
#include "nn/parameter.h"
#include "nn/residual.h"
#include "recipes/recipe.h"

namespace coat {

/// Sizes of attention. B sequences of T tokens, N = B T; H query heads, Hk key and value heads of K columns each.
struct AttentionHeads {
  std::int64_t heads = 0;      // H
  std::int64_t kv_heads = 0;   // Hk
  std::int64_t head_size = 0;  // K
  std::int64_t OutWidth() const { return heads * head_size; }
  std::int64_t QkvWidth() const { return (heads + 2 * kv_heads) * head_size; }
};

/// The keys and values of one layer for the tokens of one sequence, those at hand and those before them: generation
/// keeps them. Forward only.
struct KeyValueCache {
  TensorView rows;            // [T, 2 Hk K] of the compute type, as in ops/cached_attention.h; empty: nothing is kept
  ConstTensorView positions;  // [N] i32, of the tokens at hand: the rows that they are written to
  bool continues = false;     // they follow tokens that are in the cache; otherwise they begin the sequence
};

/// What a block has to know of a micro-batch's tokens besides their values.
struct TokenPositions {
  ConstTensorView rotary_table;    // [T, K] f32
  ConstTensorView documents = {};  // [N] i32 as in ops/attention.h, where attention stays within documents
  KeyValueCache cache = {};
};

/// Fused projection, clamp, QK-norm and rotary embedding: rotated = rope(qk_norm(clamp(att_proj(input)))).
///
/// COAT's CoatOLMoBeforeAttentionResidual without its norm. Without QK-norm the rotated values are kept; with it the
/// projection's output is, from which backward makes the rotated values again.
class BeforeAttention {
 public:
  struct Config {
    AttentionHeads shape;
    float clip_qkv = 0.0f;  // 0: no clamp; not with qk_norm
    bool qk_norm = false;   // RMSNorm of a token's queries and of its keys, with weights
    float norm_eps = 1e-6f;
  };
  struct Saved {
    TensorView qkv;        // [N, (H + 2 Hk) K] of the compute type: rotated, or before QK-norm
    TensorView clip_mask;  // [N, (H + 2 Hk) K / 8] u8, with clip_qkv only
  };
  /// What attention reads.
  struct Rotated {
    ConstTensorView qkv;             // [N, (H + 2 Hk) K] of the compute type
    ConstTensorView q_rstd, k_rstd;  // [N] f32, of QK-norm; else empty
  };

  BeforeAttention(const Config& config, const Recipe& recipe)
      : config_(config), projection_(recipe, GradientKind::kInner), recipe_(&recipe) {}

  const Linear& projection() const { return projection_; }
  void LayOut(const FindParameter& find, Arena& weights);
  void RefreshWeight(Context& ctx) { projection_.RefreshWeight(ctx); }
  void AccumulateGradients(bool accumulate);

  Saved LayOutSaved(std::int64_t tokens, Arena& saved) const;
  /// The result lies in `saved` or in `scratch`, until the caller's scope ends.
  Rotated Forward(Context& ctx, const LinearInput& input, ConstTensorView rotary_table, const Saved& saved,
                  Arena& scratch) const;
  /// Forward's result once more, with the same bytes, for backward.
  Rotated Rotate(Context& ctx, ConstTensorView rotary_table, const Saved& saved, Arena& scratch) const;
  /// From d_qkv, the gradient of rotated.qkv, which is overwritten, to that of the projection's output.
  GradientOperands Backward(Context& ctx, const Saved& saved, const Rotated& rotated, TensorView d_qkv,
                            ConstTensorView rotary_table, Arena& scratch) const;

 private:
  Config config_;
  Linear projection_;
  NormWeight q_norm_;
  NormWeight k_norm_;
  const Recipe* recipe_;
};

/// Causal attention in the compute type, within `documents` where they are given, and the output projection: branch =
/// attn_out(attention(qkv)).
///
/// COAT's CoatOLMoAfterAttentionResidual; the residual add is the norm's (HalfNorm).
class AfterAttention {
 public:
  struct Saved {
    TensorView out;     // [N, H K] of the compute type
    TensorView lse;     // [B, H, T] f32
    TensorView absmax;  // [1] f32 of out, in per-tensor recipes
  };

  AfterAttention(const AttentionHeads& shape, const Recipe& recipe)
      : shape_(shape), projection_(recipe, GradientKind::kOuter), recipe_(&recipe) {}

  void LayOut(const FindParameter& find, Arena& weights) { projection_.LayOut(find("attn_out.weight"), weights); }
  void RefreshWeight(Context& ctx) { projection_.RefreshWeight(ctx); }
  void AccumulateGradients(bool accumulate) { projection_.AccumulateGradient(accumulate); }

  Saved LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const;
  void Forward(Context& ctx, ConstTensorView qkv, const TokenPositions& positions, TensorView branch,
               const Saved& saved, Arena& scratch) const;
  /// From the branch's gradient to d_qkv, written, and the weight's gradient.
  void Backward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, const Saved& saved,
                const BranchGradient& gradient, TensorView d_qkv, Arena& scratch) const;

 private:
  void Attend(Context& ctx, ConstTensorView qkv, const TokenPositions& positions, const Saved& saved) const;

  AttentionHeads shape_;
  Linear projection_;
  const Recipe* recipe_;
};

}  // namespace coat
