#include "models/olmo.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/observer.h"
#include "base/profile.h"
#include "ops/embedding.h"
#include "ops/fill.h"
#include "ops/quantize.h"
#include "ops/rope.h"

namespace coat {

namespace {

Block::Config BlockConfig(const ModelConfig& config) {
  const auto eps = static_cast<float>(config.layer_norm_eps);
  return {
      .attention = {.shape = {.heads = config.n_heads, .kv_heads = config.KvHeads(), .head_size = config.HeadSize()},
                    .clip_qkv = static_cast<float>(config.clip_qkv.value_or(0.0)),
                    .qk_norm = config.attention_layer_norm,
                    .norm_eps = eps},
      .mlp = {.hidden_width = config.HiddenWidth()},
      .norm_after = config.norm_after,
      .norm_eps = eps};
}

float LogitScale(const ModelConfig& config) {
  return config.scale_logits ? 1.0f / std::sqrt(static_cast<float>(config.d_model)) : 1.0f;
}

/// Shows an observer what a part left in an arena since that had `first` entries, and other tensors.
void ShowPart(const Context& ctx, const std::string& name, const Arena& arena, std::size_t first,
              const std::vector<Arena::Entry>& others) {
  if (ctx.observer() == nullptr) return;
  std::vector<Arena::Entry> tensors(arena.entries().begin() + static_cast<std::ptrdiff_t>(first),
                                    arena.entries().end());
  tensors.insert(tensors.end(), others.begin(), others.end());
  ctx.observer()->See(ctx, name, tensors);
}

Arena::Entry Named(const char* name, TensorView tensor) {
  return {name, tensor.bytes(), tensor};
}

/// The stream, and what has yet to be added to it.
std::vector<Arena::Entry> TensorsOf(const ResidualStream& stream) {
  std::vector<Arena::Entry> tensors = {Named("stream", stream.x)};
  if (stream.branch_is_pending) tensors.push_back(Named("branch", stream.branch));
  return tensors;
}

}  // namespace

Olmo::Olmo(const ModelConfig& config, const Recipe& recipe)
    : config_(config),
      recipe_(recipe),
      parameters_(OlmoParameters(config)),
      exchange_({}, recipe_),
      final_norm_({.rms = config.norm_after, .eps = static_cast<float>(config.layer_norm_eps)}, recipe_),
      head_(recipe_, LogitScale(config)) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) by_name_.emplace(parameters_[i].name, i);
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) blocks_.emplace_back(BlockConfig(config), recipe_);
}

void Olmo::LayOut(Context& ctx, const Sharding& sharding, Arena& masters, Arena& gradients, Arena& weights,
                  Arena& exchange) {
  exchange_ = Exchange(sharding, recipe_);
  exchange_.LayOut(parameters_, masters, gradients, weights, exchange);
  BindParameters(ctx, weights);
}

void Olmo::LayOutForInference(Context& ctx, Arena& masters, Arena& weights) {
  for (Parameter& parameter : parameters_) {
    parameter.value = masters.Tensor(parameter.name, parameter.shape, DType::kF32);
  }
  BindParameters(ctx, weights);
}

void Olmo::ShareParameters(Context& ctx, const Olmo& other, Arena& weights) {
  parameters_ = other.parameters_;
  BindParameters(ctx, weights);
}

void Olmo::ShareParameters(Context& ctx, const Olmo& other, Arena& weights, Arena& exchange) {
  parameters_ = other.parameters_;
  Sharding sharding = other.exchange_.sharding();
  sharding.gathers_at_use = true;
  exchange_ = Exchange(sharding, recipe_);
  exchange_.LayOutOperands(parameters_, weights, exchange);
  BindParameters(ctx, weights);
}

FindParameter Olmo::Find(std::string prefix) const {
  return [this, prefix = std::move(prefix)](std::string_view name) -> const Parameter& {
    const std::string whole = prefix + std::string(name);
    const auto found = by_name_.find(whole);
    if (found == by_name_.end()) throw ArgumentError(fmt::format("the model has no parameter {}", whole));
    return parameters_[found->second];
  };
}

void Olmo::BindParameters(Context& ctx, Arena& weights) {
  if (recipe_.weight.scaling == Scaling::kTensor) {
    magnitudes_ = weights.Tensor("absmax", {static_cast<std::int64_t>(parameters_.size())}, DType::kF32);
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].absmax = magnitudes_ ? magnitudes_.Rows(static_cast<std::int64_t>(i), 1) : TensorView();
  }
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    blocks_[layer].LayOut(Find(fmt::format("transformer.blocks.{}.", layer)), weights);
  }
  const FindParameter find = Find("transformer.");
  final_norm_.LayOut(find);
  head_.LayOut(find(config_.weight_tying ? "wte.weight" : "ff_out.weight"), weights);
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
    if (parameter.kind == ParameterKind::kNormWeight) {
      Fill(ctx, {.x = parameter.value, .value = 1.0f});
      continue;
    }
    FillNormal(ctx, {.x = parameter.value,
                     .seed = seed,
                     .tensor_id = i,
                     .offset = parameter.part.first,
                     .std = parameter.initialization.std,
                     .cutoff = parameter.initialization.cutoff});
  }
}

void Olmo::RefreshWeights(Context& ctx, bool magnitudes_known) {
  const ProfileSpan span(ctx, "weights as operands");
  for (const Parameter& parameter : parameters_) {
    if (parameter.absmax && !magnitudes_known) AbsMax(ctx, {.x = parameter.value, .absmax = parameter.absmax});
  }
  if (magnitudes_) exchange_.ReduceMagnitudes(ctx, magnitudes_);
  exchange_.GatherForStep(ctx);
  for (Block& block : blocks_) block.RefreshWeights(ctx);
  head_.RefreshWeight(ctx);
}

std::size_t Olmo::Above(std::size_t layer) const {
  return layer + 1 < blocks_.size() ? Exchange::Block(layer + 1) : Exchange::kHead;
}

void Olmo::ReduceGradients(Context& ctx) {
  exchange_.ReduceStep(ctx);
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

void Olmo::LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const {
  const Shape stream = {sequences * length, config_.d_model};
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) LayOutBlock(layer, stream, sequences, saved);
}

void Olmo::ForwardBackward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch) {
  const Arena::Scope keep(saved);
  const Arena::Scope scope(scratch);
  const Shape shape = StreamShape(batch.ids);
  Pass pass = {.batch = batch,
               .saved = saved,
               .scratch = scratch,
               .shape = shape,
               .positions = PositionsOf(shape[0] / batch.sequences, batch.documents)};
  // Where every micro-batch's gradients are summed over the ranks, they start anew in each.
  const bool accumulate = batch.accumulate_gradients && !exchange_.reduces_micro_batches();
  for (Block& block : blocks_) block.AccumulateGradients(accumulate);
  final_norm_.AccumulateGradient(accumulate);
  head_.AccumulateGradient(accumulate);
  exchange_.BeginPass(batch.accumulate_gradients);
  pass.d_x.d_x = scratch.Tensor("d_x", shape, recipe_.compute);
  if (recipe_.PerTensor() && !config_.norm_after) pass.d_x.absmax = scratch.Tensor("d_x.absmax", {1}, DType::kF32);
  {
    const Arena::Scope until_blocks(scratch);
    const FinalNorm::Saved final_norm = final_norm_.LayOutSaved(shape, scratch);
    ForwardBlocks(ctx, pass, final_norm);
    HeadAndLoss(ctx, pass, final_norm);
  }
  BackwardBlocks(ctx, pass);
  BackwardEmbedding(ctx, pass, accumulate);
  exchange_.EndPass(ctx);
}

void Olmo::ForwardBlocks(Context& ctx, Pass& pass, const FinalNorm::Saved& final_norm) {
  const MicroBatch& batch = pass.batch;
  Arena& saved = pass.saved;
  Arena& scratch = pass.scratch;
  const Arena::Scope forward(scratch);
  const TensorView x = final_norm.x ? final_norm.x : scratch.Tensor("x", pass.shape, recipe_.compute);
  exchange_.Use(ctx, Exchange::kEmbedding, Exchange::Block(0));
  if (batch.accumulate_gradients) exchange_.ReduceLeft(ctx);
  EmbeddingForward(ctx, {.weight = parameters_.front().Whole(), .ids = batch.ids, .x = x});
  ShowPart(ctx, "transformer.wte", saved, saved.entries().size(), {Named("output", x)});
  ResidualStream stream = StartStream(ctx, x, blocks_.front().MeasuresStream(), scratch);
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const ProfileSpan span(ctx, "forward of block", static_cast<std::int64_t>(layer));
    pass.parts.emplace_back(saved);
    const std::size_t first = saved.entries().size();
    const BlockSaved& block = pass.kept.emplace_back(LayOutBlock(layer, pass.shape, batch.sequences, saved));
    const Arena::Scope until_recomputed(saved);
    const Block::Saved all = block.input ? LayOutAll(layer, pass.shape, batch.sequences, saved) : block.all;
    exchange_.Use(ctx, Exchange::Block(layer), Above(layer));
    blocks_[layer].Forward(ctx, stream, pass.positions, all, scratch, block.input);
    ShowPart(ctx, fmt::format("transformer.blocks.{}", layer), saved, first, TensorsOf(stream));
  }
  exchange_.Use(ctx, Exchange::kHead, HeadWeight());
  final_norm_.Forward(ctx, stream, final_norm.y, final_norm.rstd, scratch);
  ShowPart(ctx, "transformer.ln_f", saved, saved.entries().size(), {Named("output", final_norm.y)});
}

void Olmo::HeadAndLoss(Context& ctx, Pass& pass, const FinalNorm::Saved& final_norm) {
  const ProfileSpan span(ctx, "head and loss");
  const LossTerms& terms = pass.batch.terms;
  const TensorView d_normed = pass.scratch.Tensor("d_ln_f", pass.shape, recipe_.compute);
  exchange_.Use(ctx, HeadWeight(), Exchange::Block(blocks_.size() - 1));
  exchange_.BeginBackward(ctx, HeadWeight());
  head_.ForwardBackward(ctx, final_norm.y, terms, d_normed, pass.scratch);
  ShowPart(ctx, "loss", pass.saved, pass.saved.entries().size(), {Named("cross_entropy", terms.loss)});
  final_norm_.Backward(ctx, final_norm, d_normed, pass.d_x);
  exchange_.Reduce(ctx, Exchange::kHead, !pass.batch.accumulate_gradients);
}

void Olmo::BackwardBlocks(Context& ctx, Pass& pass) {
  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    const ProfileSpan span(ctx, "backward of block", static_cast<std::int64_t>(layer));
    const BlockSaved& kept = pass.kept[layer];
    Block::Saved all = kept.all;
    exchange_.Use(ctx, Exchange::Block(layer), Below(layer));
    if (kept.input) {
      all = LayOutAll(layer, pass.shape, pass.batch.sequences, pass.saved);
      blocks_[layer].Recompute(ctx, kept.input, pass.positions, all, pass.scratch);
    }
    exchange_.BeginBackward(ctx, Exchange::Block(layer));
    blocks_[layer].Backward(ctx, all, pass.positions, pass.d_x, pass.scratch);
    pass.parts.pop_back();
    exchange_.Reduce(ctx, Exchange::Block(layer), !pass.batch.accumulate_gradients);
  }
}

void Olmo::BackwardEmbedding(Context& ctx, Pass& pass, bool accumulate) {
  const ProfileSpan span(ctx, "backward of the embedding");
  const TensorView gradient = parameters_.front().local_grad;
  // With weight tying the head has started the embedding's gradient.
  if (!config_.weight_tying) {
    exchange_.BeginBackward(ctx, Exchange::kEmbedding);
    if (!accumulate) Fill(ctx, {.x = gradient, .value = 0.0f});
  }
  EmbeddingBackward(ctx, {.ids = pass.batch.ids,
                          .d_x = pass.d_x.d_x,
                          .d_weight = gradient,
                          .order = pass.scratch.Tensor("embedding.order", {pass.shape[0]}, DType::kI32)});
  exchange_.Reduce(ctx, Exchange::kEmbedding, !pass.batch.accumulate_gradients);
}

TokenPositions Olmo::PositionsOf(std::int64_t length, ConstTensorView documents) const {
  return {.rotary_table = rotary_table_.Rows(0, length), .documents = documents};
}

void Olmo::ForwardToHead(Context& ctx, ConstTensorView ids, std::int64_t sequences, TokenPositions positions,
                         const KeyValueCaches* caches, TensorView normed, Arena& saved, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const Shape shape = StreamShape(ids);
  const std::int64_t length = shape[0] / sequences;
  const TensorView x = scratch.Tensor("x", shape, recipe_.compute);
  exchange_.BeginPass();
  exchange_.Use(ctx, Exchange::kEmbedding, Exchange::Block(0));
  EmbeddingForward(ctx, {.weight = parameters_.front().Whole(), .ids = ids, .x = x});
  ResidualStream stream = StartStream(ctx, x, blocks_.front().MeasuresStream(), scratch);
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const Arena::Scope of_layer(saved);
    const Block::Saved kept = blocks_[layer].LayOutSaved(sequences, length, shape[1], saved);
    exchange_.Use(ctx, Exchange::Block(layer), Above(layer));
    if (caches != nullptr) positions.cache.rows = caches->layers[layer];
    blocks_[layer].Forward(ctx, stream, positions, kept, scratch);
  }
  exchange_.Use(ctx, Exchange::kHead, HeadWeight());
  exchange_.Use(ctx, HeadWeight(), HeadWeight());
  final_norm_.Forward(ctx, stream, normed, scratch.Tensor("ln_f.rstd", {shape[0]}, DType::kF32), scratch);
}

void Olmo::Forward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const TensorView normed = scratch.Tensor("ln_f", StreamShape(batch.ids), recipe_.compute);
  ForwardToHead(ctx, batch.ids, batch.sequences, PositionsOf(batch.ids.shape()[0] / batch.sequences, batch.documents),
                nullptr, normed, saved, scratch);
  head_.Forward(ctx, normed, batch.terms, scratch);
}

KeyValueCaches Olmo::LayOutCaches(std::int64_t positions, Arena& cache) const {
  KeyValueCaches caches;
  const std::int64_t width = 2 * config_.KvHeads() * config_.HeadSize();
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    caches.layers.push_back(cache.Tensor("keys_values", {positions, width}, recipe_.compute));
  }
  return caches;
}

void Olmo::NextLogits(Context& ctx, const NextTokens& tokens, TensorView logits, Arena& saved, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const std::int64_t count = tokens.ids.shape()[0];
  COAT_REQUIRE(tokens.caches != nullptr || !tokens.continues, "tokens continue a sequence of which nothing is kept");
  TokenPositions positions;
  if (tokens.continues) {
    // The rows of the rotary table by position, which only the device knows in recorded work.
    const TensorView rows = scratch.Tensor("rotary_rows", {count, config_.HeadSize()}, DType::kF32);
    EmbeddingForward(ctx, {.weight = rotary_table_, .ids = tokens.positions, .x = rows});
    positions.rotary_table = rows;
  } else {
    positions = PositionsOf(count, {});
  }
  positions.cache = {.rows = {}, .positions = tokens.positions, .continues = tokens.continues};
  const TensorView normed = scratch.Tensor("ln_f", StreamShape(tokens.ids), recipe_.compute);
  ForwardToHead(ctx, tokens.ids, 1, positions, tokens.caches, normed, saved, scratch);
  head_.Logits(ctx, normed.Rows(tokens.row, 1), logits, scratch);
}

}  // namespace coat
