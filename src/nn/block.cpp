#include "nn/block.h"

namespace coat {

Block::Saved Block::LayOutSaved(std::int64_t sequences, std::int64_t length, std::int64_t width, Arena& saved) const {
  const Shape x = {sequences * length, width};
  Saved kept;
  kept.before = before_.LayOutSaved(x, saved);
  kept.after = after_.LayOutSaved(sequences, length, saved);
  kept.mlp = mlp_.LayOutSaved(x, saved);
  return kept;
}

void Block::RefreshWeights(Context& ctx) {
  before_.projection().RefreshWeight(ctx);
  after_.projection().RefreshWeight(ctx);
  mlp_.up_gate_projection().RefreshWeight(ctx);
  mlp_.down_projection().RefreshWeight(ctx);
}

void Block::AccumulateGradients(bool accumulate) {
  before_.projection().AccumulateGradient(accumulate);
  after_.projection().AccumulateGradient(accumulate);
  mlp_.up_gate_projection().AccumulateGradient(accumulate);
  mlp_.down_projection().AccumulateGradient(accumulate);
}

void Block::Forward(Context& ctx, TensorView x, TensorView branch, bool has_branch, const TokenPositions& positions,
                    const Saved& saved, Arena& scratch, TensorView input) const {
  const ConstTensorView pending = has_branch ? ConstTensorView(branch) : ConstTensorView();
  before_.Forward(ctx, x, pending, positions.rotary_table, saved.before, scratch);
  if (input) ctx.Copy(x, input);
  after_.Forward(ctx, saved.before.qkv, positions.documents, branch, saved.after, scratch);
  mlp_.Forward(ctx, x, branch, saved.mlp, scratch);
}

void Block::Recompute(Context& ctx, TensorView input, const TokenPositions& positions, const Saved& saved,
                      Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const TensorView branch = scratch.Tensor("branch", input.shape(), compute_);
  before_.Forward(ctx, input, {}, positions.rotary_table, saved.before, scratch);
  after_.Forward(ctx, saved.before.qkv, positions.documents, branch, saved.after, scratch);
  mlp_.Recompute(ctx, input, branch, saved.mlp, scratch);
}

void Block::Backward(Context& ctx, const Saved& saved, const TokenPositions& positions, const ResidualGradient& d_x,
                     Arena& scratch) const {
  mlp_.Backward(ctx, saved.mlp, d_x, scratch);
  const Arena::Scope scope(scratch);
  const TensorView d_qkv = scratch.Tensor("d_qkv", {d_x.d_x.shape()[0], qkv_width_}, compute_);
  after_.Backward(ctx, saved.before.qkv, positions.documents, saved.after, d_x, d_qkv, scratch);
  before_.Backward(ctx, saved.before, d_qkv, positions.rotary_table, d_x, scratch);
}

}  // namespace coat
