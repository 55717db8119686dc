#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "config/config.h"
#include "models/exchange.h"
#include "nn/block.h"
#include "nn/final_norm.h"
#include "nn/head.h"
#include "nn/parameter.h"
#include "recipes/recipe.h"

namespace coat {

/// One micro-batch on the device: B sequences of T tokens each, N = B T, and where its losses go.
struct MicroBatch {
  ConstTensorView ids;             // [N] i32
  ConstTensorView documents = {};  // [N] i32 as in ops/attention.h, where attention stays within documents
  std::int64_t sequences = 0;
  LossTerms terms;
  bool accumulate_gradients = true;  // add to the parameters' gradients; false, for the first of a step: write them
};

/// The keys and values of one sequence in every layer.
struct KeyValueCaches {
  std::vector<TensorView> layers;  // [T, 2 Hk K] of the compute type each
};

/// Tokens of one sequence that a text goes on with, and where their keys and values are kept.
struct NextTokens {
  ConstTensorView ids;                     // [N] i32
  ConstTensorView positions;               // [N] i32: 0, 1, 2, ... or, if they continue, where they stand
  const KeyValueCaches* caches = nullptr;  // null: nothing is kept, and the tokens begin the sequence
  bool continues = false;                  // they follow tokens that are in the caches
  std::int64_t row = 0;                    // the token whose successor is asked for
};

/// The trained tensors of an OLMo model in state-dict order, with names, shapes, kinds and initialization; no memory.
/// Source: OLMo's reset_parameters for init_fn normal, mitchell and full_megatron.
std::vector<Parameter> OlmoParameters(const ModelConfig& config);

/// Numbers of parameters, as OLMo counts them: all, and those that are not embeddings.
std::int64_t CountParameters(std::span<const Parameter> parameters);
std::int64_t CountNonEmbeddingParameters(std::span<const Parameter> parameters);

/// Floating-point operations of forward and backward for one trained token: 6 a parameter (2 forward without the
/// embedding, 4 backward with it), and 12 D T a layer for attention. Source: OLMo's count, on whole parameters.
double TrainingFlopsPerToken(const ModelConfig& config);

/// OLMo 1 (COAT's CoatOLMo) or OLMo 2 in a precision recipe: embedding, blocks, final norm, head and loss.
///
/// Parameters, gradients and everything else lie in the arenas that LayOut and the steps are given; on measuring arenas
/// and a kMeta context the same calls measure what a run will need. Not thread-safe.
class Olmo {
 public:
  Olmo(const ModelConfig& config, const Recipe& recipe);
  Olmo(const Olmo&) = delete;
  Olmo& operator=(const Olmo&) = delete;

  /// Lays out the masters, the gradients and what the recipe keeps of the weights. Ranks that share a model, which
  /// `sharding` says, all make the same calls from then on; `exchange` takes what they tell one another
  /// (models/exchange.h), and nothing of one rank.
  void LayOut(Context& ctx, const Sharding& sharding, Arena& masters, Arena& gradients, Arena& weights,
              Arena& exchange);
  /// Lays out the masters without gradients: for evaluation and generation.
  void LayOutForInference(Context& ctx, Arena& masters, Arena& weights);
  /// Takes the parameters of another model of the same configuration instead; for evaluation in another recipe.
  void ShareParameters(Context& ctx, const Olmo& other, Arena& weights);
  /// The same where ranks share the other's parameters: its operands are gathered at use. Used in turn with the other,
  /// whose `exchange` may be laid over this one's.
  void ShareParameters(Context& ctx, const Olmo& other, Arena& weights, Arena& exchange);
  /// Fills the masters from a counter-based generator: the same weights on any backend and at any world size.
  void Initialize(Context& ctx, std::uint64_t seed);

  const ModelConfig& config() const { return config_; }
  const Recipe& recipe() const { return recipe_; }
  std::span<const Parameter> parameters() const { return parameters_; }

  /// Lays out, for its list of entries, all that the forward pass of a micro-batch leaves for backward.
  void LayOutSaved(std::int64_t sequences, std::int64_t length, Arena& saved) const;

  /// Makes the weights' operands from the masters; before the first micro-batch of a step and before an evaluation.
  /// `magnitudes_known`: magnitudes() are those of the masters, since an update has left both.
  void RefreshWeights(Context& ctx, bool magnitudes_known = false);
  /// [P] f32, the largest magnitude of each master, for an update to write; missing in recipes that do not need them.
  TensorView magnitudes() const { return magnitudes_; }
  /// Sums over the ranks what the micro-batches of a step have left of its gradients; after the last of them.
  void ReduceGradients(Context& ctx);
  /// Losses of a micro-batch into its terms, and its gradients into the parameters'. Where ranks share the model, no
  /// other pass may come between the micro-batches of a step, nor before ReduceGradients, without which the gradients
  /// of the first block and of the embedding are not complete.
  void ForwardBackward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch);
  /// Losses of a micro-batch. Nothing is kept for backward: a block's activations are in `saved` only while it runs.
  void Forward(Context& ctx, const MicroBatch& batch, Arena& saved, Arena& scratch);

  /// Lays out what generation keeps of a sequence of up to `positions` tokens.
  KeyValueCaches LayOutCaches(std::int64_t positions, Arena& cache) const;
  /// Logits [1, E], f32 or of the compute type, of the token behind tokens.row; without scale_logits. Tokens behind the
  /// row may be anything: they change nothing but cache rows that are written before they are read.
  void NextLogits(Context& ctx, const NextTokens& tokens, TensorView logits, Arena& saved, Arena& scratch);

 private:
  /// What a block leaves from forward to backward.
  struct BlockSaved {
    Block::Saved all;  // unless the recipe has it recomputed
    TensorView input;  // [N, D] of the compute type, if it does
  };

  /// What the parts of ForwardBackward share.
  struct Pass {
    const MicroBatch& batch;
    Arena& saved;
    Arena& scratch;
    Shape shape;  // [N, D]
    TokenPositions positions;
    std::vector<BlockSaved> kept = {};  // of each block
    /// A layer's part of `saved` is given back as soon as backward is past it: layers below are recomputed there.
    std::deque<Arena::Scope> parts = {};
    ResidualGradient d_x = {};
  };

  void BindParameters(Context& ctx, Arena& weights);
  // The parts of ForwardBackward, in their order; `final_norm` lies in scratch memory, which blocks' backward uses
  // anew.

  void ForwardBlocks(Context& ctx, Pass& pass, const FinalNorm::Saved& final_norm);
  void HeadAndLoss(Context& ctx, Pass& pass, const FinalNorm::Saved& final_norm);
  void BackwardBlocks(Context& ctx, Pass& pass);
  void BackwardEmbedding(Context& ctx, Pass& pass, bool accumulate);
  /// The units of the exchange after the layer, on the way up and on the way down.
  std::size_t Above(std::size_t layer) const;
  static std::size_t Below(std::size_t layer) { return Exchange::Block(layer == 0 ? 0 : layer - 1); }
  /// The unit that has the head's weight.
  std::size_t HeadWeight() const { return config_.weight_tying ? Exchange::kEmbedding : Exchange::kHead; }
  /// Finds parameters by what follows `prefix` in their names.
  FindParameter Find(std::string prefix) const;
  Shape StreamShape(ConstTensorView ids) const { return {ids.shape()[0], config_.d_model}; }
  Block::Saved LayOutAll(std::size_t layer, Shape stream, std::int64_t sequences, Arena& saved) const;
  BlockSaved LayOutBlock(std::size_t layer, Shape stream, std::int64_t sequences, Arena& saved) const;
  TokenPositions PositionsOf(std::int64_t length, ConstTensorView documents) const;
  /// Embedding, blocks and final norm without keeping anything but keys and values in `caches`, if there are any: x is
  /// the residual stream, normed the head's input.
  void ForwardToHead(Context& ctx, ConstTensorView ids, std::int64_t sequences, TokenPositions positions,
                     const KeyValueCaches* caches, TensorView normed, Arena& saved, Arena& scratch);

  ModelConfig config_;
  Recipe recipe_;
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, std::size_t> by_name_;  // places in parameters_
  Exchange exchange_;                                     // with the ranks that share the model, if any
  TensorView magnitudes_;                                 // [P] f32, with FP8 weights of one scale
  TensorView rotary_table_;                               // [T, K] f32
  std::vector<Block> blocks_;
  FinalNorm final_norm_;
  Head head_;
};

}  // namespace coat
