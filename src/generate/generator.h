#pragma once
// One sequence that grows token by token.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "config/model_config.h"
#include "models/olmo.h"

namespace coat {

struct GeneratorOptions {
  DType compute = DType::kBF16;  // or f32: the plain recipe, as in evaluation
  std::int64_t positions = 0;    // tokens that the sequence may have, at most model.max_sequence_length
  bool cache = true;             // keep keys and values; false: compute the whole sequence anew for each token
};

/// A model that extends one sequence: its parameters, the keys and values of what was read, and the memory of a step.
///
/// The first tokens are computed together, in 64s, of which those behind the last are not looked at; each later one by
/// itself, which on a GPU is one recorded graph. All memory is taken by the constructor. Not thread-safe.
class Generator {
 public:
  /// On cpu or cuda. Throws Error, with how much memory is needed, when there is not enough.
  Generator(const ModelConfig& model, const GeneratorOptions& options, Context ctx);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Its parameters are to be filled before Start.
  const Olmo& model() const { return *model_; }
  const Context& context() const { return ctx_; }
  /// Bytes of all tensors.
  std::int64_t bytes() const;

  /// Begins a new sequence with these tokens, at least one and at most options.positions; ids are below
  /// model.vocab_size. Returns the logits of the next token, of all ids below model.vocab_size: of what head and
  /// scale_logits give, in float32. Valid until the next call. Throws ArgumentError for ids that are not as above.
  std::span<const float> Start(std::span<const std::int32_t> ids);
  /// Appends a token, for which there must be room, and returns the logits of the next.
  std::span<const float> Append(std::int32_t id);
  /// Tokens so far.
  std::int64_t length() const { return static_cast<std::int64_t>(ids_.size()); }

 private:
  struct Arenas {
    Arena masters, weights, cache, saved, scratch, batch;
  };

  Generator(const ModelConfig& model, const GeneratorOptions& options, Context ctx,
            const std::function<Arenas(const Context&)>& make_arenas);
  static Arenas BoundArenas(const ModelConfig& model, const GeneratorOptions& options, const Context& ctx);
  void RunOnMeta();
  /// The sequence's tokens together; keys and values go to the cache, if there is one.
  void ReadAll();
  void ReadLast();
  std::span<const float> Download();
  void RequireId(std::int32_t id) const;

  ModelConfig config_;
  GeneratorOptions options_;
  Context ctx_;
  std::int64_t capacity_;  // options_.positions in whole 64s, as far as the model goes
  Arenas arenas_;
  std::unique_ptr<Olmo> model_;
  KeyValueCaches caches_;
  TensorView batch_ids_;        // [capacity] i32
  TensorView batch_positions_;  // [capacity] i32: 0, 1, 2, ...
  TensorView last_;             // [2] i32: a token and its position
  TensorView logits_;           // [1, E] f32
  std::vector<std::int32_t> ids_;
  std::vector<float> host_logits_;
};

}  // namespace coat
