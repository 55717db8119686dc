#include "nn/attention.h"

#include "ops/attention.h"
#include "ops/cached_attention.h"
#include "ops/qk_norm_rope.h"
#include "ops/rope.h"

namespace coat {

void BeforeAttention::LayOut(const FindParameter& find, Arena& weights) {
  projection_.LayOut(find("att_proj.weight"), weights);
  if (!config_.qk_norm) return;
  q_norm_.LayOut(find("q_norm.weight"));
  k_norm_.LayOut(find("k_norm.weight"));
}

void BeforeAttention::AccumulateGradients(bool accumulate) {
  projection_.AccumulateGradient(accumulate);
  q_norm_.AccumulateGradient(accumulate);
  k_norm_.AccumulateGradient(accumulate);
}

BeforeAttention::Saved BeforeAttention::LayOutSaved(std::int64_t tokens, Arena& saved) const {
  const std::int64_t width = config_.shape.QkvWidth();
  Saved kept;
  kept.qkv = saved.Tensor("qkv", {tokens, width}, recipe_->compute);
  if (config_.clip_qkv > 0.0f) kept.clip_mask = saved.Tensor("clip_mask", {tokens, width / 8}, DType::kU8);
  return kept;
}

BeforeAttention::Rotated BeforeAttention::Forward(Context& ctx, const LinearInput& input, ConstTensorView rotary_table,
                                                  const Saved& saved, Arena& scratch) const {
  projection_.Forward(ctx, input, saved.qkv, scratch);
  if (config_.qk_norm) return Rotate(ctx, rotary_table, saved, scratch);
  RopeForward(ctx, {.qkv = saved.qkv,
                    .table = rotary_table,
                    .clip_mask = saved.clip_mask,
                    .heads = config_.shape.heads,
                    .kv_heads = config_.shape.kv_heads,
                    .clip = config_.clip_qkv});
  return {saved.qkv, {}, {}};
}

BeforeAttention::Rotated BeforeAttention::Rotate(Context& ctx, ConstTensorView rotary_table, const Saved& saved,
                                                 Arena& scratch) const {
  if (!config_.qk_norm) return {saved.qkv, {}, {}};
  const std::int64_t tokens = saved.qkv.shape()[0];
  const TensorView rotated = scratch.Tensor("rotated", saved.qkv.shape(), recipe_->compute);
  const TensorView q_rstd = scratch.Tensor("q_norm.rstd", {tokens}, DType::kF32);
  const TensorView k_rstd = scratch.Tensor("k_norm.rstd", {tokens}, DType::kF32);
  QkNormRopeForward(ctx, {.qkv = saved.qkv,
                          .q_weight = q_norm_.value(),
                          .k_weight = k_norm_.value(),
                          .table = rotary_table,
                          .rotated = rotated,
                          .q_rstd = q_rstd,
                          .k_rstd = k_rstd,
                          .heads = config_.shape.heads,
                          .kv_heads = config_.shape.kv_heads,
                          .eps = config_.norm_eps});
  return {rotated, q_rstd, k_rstd};
}

GradientOperands BeforeAttention::Backward(Context& ctx, const Saved& saved, const Rotated& rotated, TensorView d_qkv,
                                           ConstTensorView rotary_table, Arena& scratch) const {
  TensorView absmax;
  if (recipe_->PerTensor()) absmax = scratch.Tensor("d_qkv.absmax", {1}, DType::kF32);
  if (config_.qk_norm) {
    QkNormRopeBackward(ctx, {.qkv = saved.qkv,
                             .q_weight = q_norm_.value(),
                             .k_weight = k_norm_.value(),
                             .q_rstd = rotated.q_rstd,
                             .k_rstd = rotated.k_rstd,
                             .table = rotary_table,
                             .d_qkv = d_qkv,
                             .d_q_weight = q_norm_.grad(),
                             .d_k_weight = k_norm_.grad(),
                             .absmax = absmax,
                             .heads = config_.shape.heads,
                             .kv_heads = config_.shape.kv_heads,
                             .accumulate = q_norm_.accumulates()});
  } else {
    RopeBackward(ctx, {.d_qkv = d_qkv,
                       .table = rotary_table,
                       .clip_mask = saved.clip_mask,
                       .absmax = absmax,
                       .heads = config_.shape.heads,
                       .kv_heads = config_.shape.kv_heads});
  }
  return projection_.PrepareGradient(ctx, d_qkv, absmax, scratch);
}

AfterAttention::Saved AfterAttention::LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const {
  Saved kept;
  kept.out = saved.Tensor("attention", {sequences * length, shape_.OutWidth()}, recipe_->compute);
  kept.lse = saved.Tensor("attention.lse", {sequences, shape_.heads, length}, DType::kF32);
  if (recipe_->PerTensor()) kept.absmax = saved.Tensor("attention.absmax", {1}, DType::kF32);
  return kept;
}

void AfterAttention::Attend(Context& ctx, ConstTensorView qkv, const TokenPositions& positions,
                            const Saved& saved) const {
  const KeyValueCache& cache = positions.cache;
  if (cache.rows) {
    StoreKeysValues(ctx, {.qkv = qkv,
                          .positions = cache.positions,
                          .cache = cache.rows,
                          .heads = shape_.heads,
                          .kv_heads = shape_.kv_heads});
  }
  if (cache.continues) {
    CachedAttention(ctx, {.qkv = qkv,
                          .positions = cache.positions,
                          .cache = cache.rows,
                          .out = saved.out,
                          .heads = shape_.heads,
                          .kv_heads = shape_.kv_heads});
    return;
  }
  AttentionForward(ctx, {.qkv = qkv,
                         .out = saved.out,
                         .lse = saved.lse,
                         .documents = positions.documents,
                         .heads = shape_.heads,
                         .kv_heads = shape_.kv_heads});
}

void AfterAttention::Forward(Context& ctx, ConstTensorView qkv, const TokenPositions& positions, TensorView branch,
                             const Saved& saved, Arena& scratch) const {
  Attend(ctx, qkv, positions, saved);
  projection_.Forward(ctx, {AsPlain(saved.out), saved.absmax}, branch, scratch);
}

void AfterAttention::Backward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, const Saved& saved,
                              const BranchGradient& gradient, TensorView d_qkv, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const TensorView d_out = scratch.Tensor("d_attention", saved.out.shape(), recipe_->compute);
  {
    const Arena::Scope operands(scratch);
    const GradientOperands d_branch = projection_.PrepareGradient(ctx, gradient.d_branch, gradient.absmax, scratch);
    projection_.BackwardInput(ctx, d_branch, d_out, scratch);
    projection_.BackwardWeight(ctx, d_branch, {AsPlain(saved.out), saved.absmax}, scratch);
  }
  AttentionBackward(ctx, {.qkv = qkv,
                          .out = saved.out,
                          .lse = saved.lse,
                          .d_out = d_out,
                          .d_qkv = d_qkv,
                          .documents = documents,
                          .heads = shape_.heads,
                          .kv_heads = shape_.kv_heads});
}

}  // namespace coat
