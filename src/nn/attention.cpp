#include "nn/attention.h"

#include "ops/attention.h"
#include "ops/rope.h"

namespace coat {

BeforeAttention::Saved BeforeAttention::LayOutSaved(Shape x, Arena& saved) const {
  const std::int64_t width = config_.shape.QkvWidth();
  Saved kept;
  kept.norm = norm_.LayOutSaved("attn_norm", x, saved);
  kept.qkv = saved.Tensor("qkv", {x[0], width}, recipe_->compute);
  if (config_.clip_qkv > 0.0f) kept.clip_mask = saved.Tensor("clip_mask", {x[0], width / 8}, DType::kU8);
  return kept;
}

void BeforeAttention::Forward(Context& ctx, TensorView x, ConstTensorView branch, ConstTensorView rotary_table,
                              const Saved& saved, Arena& scratch) const {
  norm_.Forward(ctx, x, branch, saved.norm, scratch);
  projection_.Forward(ctx, saved.norm.AsLinearInput(), saved.qkv, scratch);
  RopeForward(ctx, {.qkv = saved.qkv,
                    .table = rotary_table,
                    .clip_mask = saved.clip_mask,
                    .heads = config_.shape.heads,
                    .kv_heads = config_.shape.kv_heads,
                    .clip = config_.clip_qkv});
}

void BeforeAttention::Backward(Context& ctx, const Saved& saved, TensorView d_qkv, ConstTensorView rotary_table,
                               const ResidualGradient& d_x, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  TensorView absmax;
  if (recipe_->PerTensor()) absmax = scratch.Tensor("d_qkv.absmax", {1}, DType::kF32);
  RopeBackward(ctx, {.d_qkv = d_qkv,
                     .table = rotary_table,
                     .clip_mask = saved.clip_mask,
                     .absmax = absmax,
                     .heads = config_.shape.heads,
                     .kv_heads = config_.shape.kv_heads});
  const GradientOperands gradient = projection_.PrepareGradient(ctx, d_qkv, absmax, scratch);
  const TensorView d_norm = scratch.Tensor("d_attn_norm", d_x.d_x.shape(), recipe_->compute);
  projection_.BackwardInput(ctx, gradient, d_norm, scratch);
  projection_.BackwardWeight(ctx, gradient, saved.norm.AsLinearInput(), scratch);
  norm_.Backward(ctx, saved.norm, d_norm, d_x);
}

AfterAttention::Saved AfterAttention::LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const {
  Saved kept;
  kept.out = saved.Tensor("attention", {sequences * length, shape_.OutWidth()}, recipe_->compute);
  kept.lse = saved.Tensor("attention.lse", {sequences, shape_.heads, length}, DType::kF32);
  if (recipe_->PerTensor()) kept.absmax = saved.Tensor("attention.absmax", {1}, DType::kF32);
  return kept;
}

void AfterAttention::Forward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, TensorView branch,
                             const Saved& saved, Arena& scratch) const {
  AttentionForward(ctx, {.qkv = qkv,
                         .out = saved.out,
                         .lse = saved.lse,
                         .documents = documents,
                         .heads = shape_.heads,
                         .kv_heads = shape_.kv_heads});
  projection_.Forward(ctx, {AsPlain(saved.out), saved.absmax}, branch, scratch);
}

void AfterAttention::Backward(Context& ctx, ConstTensorView qkv, ConstTensorView documents, const Saved& saved,
                              const ResidualGradient& d_x, TensorView d_qkv, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const TensorView d_out = scratch.Tensor("d_attention", saved.out.shape(), recipe_->compute);
  {
    const Arena::Scope operands(scratch);
    const GradientOperands gradient = projection_.PrepareGradient(ctx, d_x.d_x, d_x.absmax, scratch);
    projection_.BackwardInput(ctx, gradient, d_out, scratch);
    projection_.BackwardWeight(ctx, gradient, {AsPlain(saved.out), saved.absmax}, scratch);
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
