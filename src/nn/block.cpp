#include "nn/block.h"

namespace coat {

namespace {

std::unique_ptr<HalfNorm> MakeHalfNorm(const Block::Config& config, const char* name, const Recipe& recipe) {
  const HalfNorm::Config of_half = {.name = name, .eps = config.norm_eps};
  return config.norm_after ? MakeNormAfter(of_half, recipe) : MakeNormBefore(of_half, recipe);
}

}  // namespace

Block::Block(const Config& config, const Recipe& recipe)
    : attention_norm_(MakeHalfNorm(config, "attn_norm", recipe)),
      before_(config.attention, recipe),
      after_(config.attention.shape, recipe),
      mlp_norm_(MakeHalfNorm(config, "ff_norm", recipe)),
      mlp_(config.mlp, recipe),
      recipe_(&recipe) {}

void Block::LayOut(const FindParameter& find, Arena& weights) {
  after_.LayOut(find, weights);
  mlp_.LayOut(find, weights);
  before_.LayOut(find, weights);
  attention_norm_->LayOut(find);
  mlp_norm_->LayOut(find);
}

Block::Saved Block::LayOutSaved(std::int64_t sequences, std::int64_t length, std::int64_t width, Arena& saved) const {
  const Shape x = {sequences * length, width};
  Saved kept;
  kept.attention_norm = attention_norm_->LayOutSaved(x, saved);
  kept.before = before_.LayOutSaved(x[0], saved);
  kept.after = after_.LayOutSaved(sequences, length, saved);
  kept.mlp_norm = mlp_norm_->LayOutSaved(x, saved);
  kept.mlp = mlp_.LayOutSaved(x[0], saved);
  return kept;
}

void Block::RefreshWeights(Context& ctx) {
  before_.RefreshWeight(ctx);
  after_.RefreshWeight(ctx);
  mlp_.RefreshWeights(ctx);
}

void Block::AccumulateGradients(bool accumulate) {
  attention_norm_->AccumulateGradient(accumulate);
  before_.AccumulateGradients(accumulate);
  after_.AccumulateGradients(accumulate);
  mlp_norm_->AccumulateGradient(accumulate);
  mlp_.AccumulateGradients(accumulate);
}

void Block::ForwardAttention(Context& ctx, ResidualStream& stream, const TokenPositions& positions, const Saved& saved,
                             Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const LinearInput input = saved.attention_norm.AsLinearInput();
  const BeforeAttention::Rotated rotated = before_.Forward(ctx, input, positions.rotary_table, saved.before, scratch);
  after_.Forward(ctx, rotated.qkv, positions, attention_norm_->Output(stream, saved.attention_norm), saved.after,
                 scratch);
  attention_norm_->Leave(ctx, stream, saved.attention_norm);
}

void Block::Forward(Context& ctx, ResidualStream& stream, const TokenPositions& positions, const Saved& saved,
                    Arena& scratch, TensorView input) const {
  attention_norm_->Enter(ctx, stream, saved.attention_norm, scratch);
  if (input) ctx.Copy(stream.x, input);
  ForwardAttention(ctx, stream, positions, saved, scratch);
  mlp_norm_->Enter(ctx, stream, saved.mlp_norm, scratch);
  mlp_.Forward(ctx, saved.mlp_norm.AsLinearInput(), mlp_norm_->Output(stream, saved.mlp_norm), saved.mlp, scratch);
  mlp_norm_->Leave(ctx, stream, saved.mlp_norm);
}

void Block::Recompute(Context& ctx, TensorView input, const TokenPositions& positions, const Saved& saved,
                      Arena& scratch) const {
  const Arena::Scope scope(scratch);
  ResidualStream stream = StartStream(ctx, input, MeasuresStream(), scratch);
  if (mlp_norm_->KeepsOutput()) {
    Forward(ctx, stream, positions, saved, scratch);
    return;
  }
  attention_norm_->Enter(ctx, stream, saved.attention_norm, scratch);
  ForwardAttention(ctx, stream, positions, saved, scratch);
  mlp_norm_->Enter(ctx, stream, saved.mlp_norm, scratch);
  mlp_.Recompute(ctx, saved.mlp_norm.AsLinearInput(), saved.mlp, scratch);
}

void Block::BackwardMlp(Context& ctx, const Saved& saved, const ResidualGradient& d_x, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const BranchGradient d_branch = mlp_norm_->BackwardLeave(ctx, saved.mlp_norm, d_x, scratch);
  const GradientOperands d_up_gate = mlp_.Backward(ctx, saved.mlp, d_branch, scratch);
  mlp_norm_->BackwardEnter(ctx, mlp_.up_gate_projection(), d_up_gate, saved.mlp_norm, d_x, scratch);
}

void Block::BackwardAttention(Context& ctx, const Saved& saved, const TokenPositions& positions,
                              const ResidualGradient& d_x, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const BranchGradient d_branch = attention_norm_->BackwardLeave(ctx, saved.attention_norm, d_x, scratch);
  const TensorView d_qkv = scratch.Tensor("d_qkv", saved.before.qkv.shape(), recipe_->compute);
  const BeforeAttention::Rotated rotated = before_.Rotate(ctx, positions.rotary_table, saved.before, scratch);
  after_.Backward(ctx, rotated.qkv, positions.documents, saved.after, d_branch, d_qkv, scratch);
  const GradientOperands d_projected =
      before_.Backward(ctx, saved.before, rotated, d_qkv, positions.rotary_table, scratch);
  attention_norm_->BackwardEnter(ctx, before_.projection(), d_projected, saved.attention_norm, d_x, scratch);
}

void Block::Backward(Context& ctx, const Saved& saved, const TokenPositions& positions, const ResidualGradient& d_x,
                     Arena& scratch) const {
  BackwardMlp(ctx, saved, d_x, scratch);
  BackwardAttention(ctx, saved, positions, d_x, scratch);
}

}  // namespace coat
