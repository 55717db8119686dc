#include "models/olmo.h"

#include <cmath>
#include <deque>
#include <vector>

#include "base/error.h"
#include "ops/embedding.h"
#include "ops/fill_normal.h"
#include "ops/rope.h"

namespace coat {

namespace {

Block::Config BlockConfig(const ModelConfig& config) {
  const auto eps = static_cast<float>(config.layer_norm_eps);
  return {
      .attention = {.shape = {.heads = config.n_heads, .kv_heads = config.KvHeads(), .head_size = config.HeadSize()},
                    .layer_norm_eps = eps,
                    .clip_qkv = static_cast<float>(config.clip_qkv.value_or(0.0))},
      .mlp = {.hidden_width = config.HiddenWidth(), .layer_norm_eps = eps}};
}

float LogitScale(const ModelConfig& config) {
  return config.scale_logits ? 1.0f / std::sqrt(static_cast<float>(config.d_model)) : 1.0f;
}

}  // namespace

Olmo::Olmo(const ModelConfig& config, const Recipe& recipe)
    : config_(config),
      recipe_(recipe),
      parameters_(OlmoParameters(config)),
      final_norm_(recipe_, static_cast<float>(config.layer_norm_eps)),
      head_(recipe_, LogitScale(config)) {
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) blocks_.emplace_back(BlockConfig(config), recipe_);
}

void Olmo::LayOut(Context& ctx, Arena& masters, Arena& gradients, Arena& weights) {
  for (Parameter& parameter : parameters_) {
    parameter.value = masters.Tensor(parameter.name, parameter.shape, DType::kF32);
    parameter.grad = gradients.Tensor(parameter.name, parameter.shape, recipe_.gradient);
  }
  BindParameters(ctx, weights);
}

void Olmo::ShareParameters(Context& ctx, const Olmo& other, Arena& weights) {
  parameters_ = other.parameters_;
  BindParameters(ctx, weights);
}

void Olmo::BindParameters(Context& ctx, Arena& weights) {
  // The order of OlmoParameters: embedding, four weights a block, head.
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const Parameter* of_block = &parameters_[1 + 4 * layer];
    Block& block = blocks_[layer];
    block.after_attention().projection().LayOut(of_block[0], weights);
    block.mlp().down_projection().LayOut(of_block[1], weights);
    block.before_attention().projection().LayOut(of_block[2], weights);
    block.mlp().up_gate_projection().LayOut(of_block[3], weights);
  }
  head_.LayOut(config_.weight_tying ? parameters_.front() : parameters_.back(), weights);
  rotary_table_ = weights.Tensor("rotary_table", {config_.max_sequence_length, config_.HeadSize()}, DType::kF32);
  if (ctx.device() != DeviceKind::kMeta) {
    std::vector<float> table(static_cast<std::size_t>(rotary_table_.elements()));
    FillRotaryTable({table.data(), rotary_table_.shape(), DType::kF32, DeviceKind::kCpu},
                    static_cast<double>(config_.rope_theta));
    ctx.Upload(table.data(), rotary_table_);
  }
}

void Olmo::Initialize(Context& ctx, std::uint64_t seed) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    FillNormal(ctx, {.x = parameter.value,
                     .seed = seed,
                     .tensor_id = i,
                     .std = parameter.initialization.std,
                     .cutoff = parameter.initialization.cutoff});
  }
}

void Olmo::RefreshWeights(Context& ctx) {
  for (Block& block : blocks_) block.RefreshWeights(ctx);
  head_.RefreshWeight(ctx);
}

Block::Saved Olmo::LayOutAll(std::size_t layer, Shape stream, std::int64_t sequences, Arena& saved) const {
  return blocks_[layer].LayOutSaved(sequences, stream[0] / sequences, stream[1], saved);
}

Olmo::BlockSaved Olmo::LayOutBlock(std::size_t layer, Shape stream, std::int64_t sequences, Arena& saved) const {
  BlockSaved kept;
  if (recipe_.Recomputes(static_cast<std::int64_t>(layer))) {
    kept.input = saved.Tensor("block_input", stream, recipe_.compute);
  } else {
    kept.all = LayOutAll(layer, stream, sequences, saved);
  }
  return kept;
}

NormSaved Olmo::LayOutFinalNorm(Shape stream, Arena& scratch) const {
  NormSaved kept;
  kept.y = AsPlain(scratch.Tensor("ln_f", stream, recipe_.compute));
  kept.rstd = scratch.Tensor("ln_f.rstd", {stream[0]}, DType::kF32);
  return kept;
}

void Olmo::LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const {
  const Shape stream = {sequences * length, config_.d_model};
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) LayOutBlock(layer, stream, sequences, saved);
}

void Olmo::ForwardBackward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch) {
  const Arena::Scope keep(saved);
  const Arena::Scope scope(scratch);
  const Shape stream = StreamShape(batch.ids);
  const TokenPositions positions = {.rotary_table = rotary_table_.Rows(0, stream[0] / batch.sequences),
                                    .documents = batch.documents};
  for (Block& block : blocks_) block.AccumulateGradients(batch.accumulate_gradients);
  head_.AccumulateGradient(batch.accumulate_gradients);
  std::vector<BlockSaved> kept;
  // A layer's part of `saved` is given back as soon as backward is past it: layers below are recomputed there.
  std::deque<Arena::Scope> parts;

  ResidualGradient d_x;
  d_x.d_x = scratch.Tensor("d_x", stream, recipe_.compute);
  if (recipe_.PerTensor()) d_x.absmax = scratch.Tensor("d_x.absmax", {1}, DType::kF32);
  {
    // The final norm's output is of no use to the blocks' backward, so it lies in scratch memory.
    const Arena::Scope until_blocks(scratch);
    const NormSaved final_norm = LayOutFinalNorm(stream, scratch);
    {
      const Arena::Scope forward(scratch);
      const TensorView x = scratch.Tensor("x", stream, recipe_.compute);
      const TensorView branch = scratch.Tensor("branch", stream, recipe_.compute);
      EmbeddingForward(ctx, {.weight = parameters_.front().value, .ids = batch.ids, .x = x});
      for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
        parts.emplace_back(saved);
        const BlockSaved& block = kept.emplace_back(LayOutBlock(layer, stream, batch.sequences, saved));
        const Arena::Scope until_recomputed(saved);
        const Block::Saved all = block.input ? LayOutAll(layer, stream, batch.sequences, saved) : block.all;
        blocks_[layer].Forward(ctx, x, branch, layer > 0, positions, all, scratch, block.input);
      }
      final_norm_.Forward(ctx, x, branch, final_norm, scratch);
    }
    const TensorView d_normed = scratch.Tensor("d_ln_f", stream, recipe_.compute);
    head_.ForwardBackward(ctx, final_norm.y.codes, batch.terms, d_normed, scratch);
    final_norm_.Backward(ctx, final_norm, d_normed, d_x, /*overwrite=*/true);
  }
  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    Block::Saved all = kept[layer].all;
    if (kept[layer].input) {
      all = LayOutAll(layer, stream, batch.sequences, saved);
      blocks_[layer].Recompute(ctx, kept[layer].input, positions, all, scratch);
    }
    blocks_[layer].Backward(ctx, all, positions, d_x, scratch);
    parts.pop_back();
  }
  // With weight tying the head has started the embedding's gradient.
  if (!batch.accumulate_gradients && !config_.weight_tying) {
    Fill(ctx, {.x = parameters_.front().grad, .value = 0.0f});
  }
  EmbeddingBackward(ctx, {.ids = batch.ids,
                          .d_x = d_x.d_x,
                          .d_weight = parameters_.front().grad,
                          .order = scratch.Tensor("embedding.order", {stream[0]}, DType::kI32)});
}

void Olmo::ForwardToHead(Context& ctx, ConstTensorView ids, ConstTensorView documents, std::int64_t sequences,
                         TensorView normed, Arena& saved, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const Shape stream = StreamShape(ids);
  const std::int64_t length = stream[0] / sequences;
  const TokenPositions positions = {.rotary_table = rotary_table_.Rows(0, length), .documents = documents};
  const TensorView x = scratch.Tensor("x", stream, recipe_.compute);
  const TensorView branch = scratch.Tensor("branch", stream, recipe_.compute);
  EmbeddingForward(ctx, {.weight = parameters_.front().value, .ids = ids, .x = x});
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const Arena::Scope of_layer(saved);
    const Block::Saved kept = blocks_[layer].LayOutSaved(sequences, length, stream[1], saved);
    blocks_[layer].Forward(ctx, x, branch, layer > 0, positions, kept, scratch);
  }
  NormSaved final_norm;
  final_norm.y = AsPlain(normed);
  final_norm.rstd = scratch.Tensor("ln_f.rstd", {stream[0]}, DType::kF32);
  final_norm_.Forward(ctx, x, branch, final_norm, scratch);
}

void Olmo::Forward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const TensorView normed = scratch.Tensor("ln_f", StreamShape(batch.ids), recipe_.compute);
  ForwardToHead(ctx, batch.ids, batch.documents, batch.sequences, normed, saved, scratch);
  head_.Forward(ctx, normed, batch.terms, scratch);
}

void Olmo::Logits(Context& ctx, ConstTensorView ids, std::int64_t sequences, TensorView logits, Arena& saved,
                  Arena& scratch) {
  const Arena::Scope scope(scratch);
  const TensorView normed = scratch.Tensor("ln_f", StreamShape(ids), recipe_.compute);
  ForwardToHead(ctx, ids, {}, sequences, normed, saved, scratch);
  head_.Logits(ctx, normed, logits, scratch);
}

}  // namespace coat
