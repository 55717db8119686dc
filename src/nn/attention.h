#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "recipes/recipe.h"

namespace coat {

/// Sizes of attention. B sequences of T tokens, N = B T; H query heads, Hk key and value heads of K columns each.
struct AttentionShape {
  std::int64_t heads = 0;      // H
  std::int64_t kv_heads = 0;   // Hk
  std::int64_t head_size = 0;  // K
  std::int64_t OutWidth() const { return heads * head_size; }
  std::int64_t QkvWidth() const { return (heads + 2 * kv_heads) * head_size; }
};

/// What a block has to know of a micro-batch's tokens besides their values.
struct TokenPositions {
  ConstTensorView rotary_table;    // [T, K] f32
  ConstTensorView documents = {};  // [N] i32 as in ops/attention.h, where attention stays within documents
};

/// Norm, fused projection, clamp and rotary embedding: qkv = rope(clamp(att_proj(norm(x + branch)))).
///
/// COAT's CoatOLMoBeforeAttentionResidual.
class BeforeAttention {
 public:
  struct Config {
    AttentionShape shape;
    float layer_norm_eps = 1e-5f;
    float clip_qkv = 0.0f;  // 0: no clamp
  };
  struct Saved {
    NormSaved norm;
    TensorView qkv;        // [N, (H + 2 Hk) K], after RoPE, of the compute type
    TensorView clip_mask;  // [N, (H + 2 Hk) K / 8] u8, with clip_qkv only
  };

  BeforeAttention(const Config& config, const Recipe& recipe)
      : config_(config),
        norm_(recipe, config.layer_norm_eps),
        projection_(recipe, GradientKind::kInner),
        recipe_(&recipe) {}

  Linear& projection() { return projection_; }
  Saved LayOutSaved(Shape x, Arena& saved) const;
  void Forward(Context& ctx, TensorView x, ConstTensorView branch, ConstTensorView rotary_table, const Saved& saved,
               Arena& scratch) const;
  /// From d_qkv, which is overwritten, to the residual stream's gradient and the weight's.
  void Backward(Context& ctx, const Saved& saved, TensorView d_qkv, ConstTensorView rotary_table,
                const ResidualGradient& d_x, Arena& scratch) const;

 private:
  Config config_;
  Norm norm_;
  Linear projection_;
  const Recipe* recipe_;
};

/// Causal attention in the compute type, within `documents` where they are given, and the output projection: branch =
/// attn_out(attention(qkv)).
///
/// COAT's CoatOLMoAfterAttentionResidual; the residual add is part of the norm that follows.
class AfterAttention {
 public:
  struct Saved {
    TensorView out;     // [N, H K] of the compute type
    TensorView lse;     // [B, H, T] f32
    TensorView absmax;  // [1] f32 of out, in per-tensor recipes
  };

  AfterAttention(const AttentionShape& shape, const Recipe& recipe)
      : shape_(shape), projection_(recipe, GradientKind::kOuter), recipe_(&recipe) {}

  Linear& projection() { return projection_; }
  Saved LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const;
  void Forward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, TensorView branch, const Saved& saved,
               Arena& scratch) const;
  /// From the residual stream's gradient, which is also the branch's, to d_qkv, written, and the weight's gradient.
  void Backward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, const Saved& saved,
                const ResidualGradient& d_x, TensorView d_qkv, Arena& scratch) const;

 private:
  AttentionShape shape_;
  Linear projection_;
  const Recipe* recipe_;
};

}  // namespace coat
