#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "models/sharding.h"
#include "nn/parameter.h"
#include "recipes/recipe.h"

namespace coat {

/// The format in which a weight is gathered from the parts that ranks keep: see Exchange.
Format GatheredFormat(ParameterKind kind, const Recipe& recipe);

/// What ranks that share a model tell one another: weights, gathered from the parts that ranks keep, and gradients,
/// summed into them, in units of a layer.
///
/// A gathered weight travels in the format in which layers read it: one byte a parameter for FP8 with one scale, the
/// compute type for plain products, embedding and head; float32 for norms and for weights in 128 x 128 blocks, whose
/// operands are made of the whole master. Each rank makes its own part of it from its part of the master, with the
/// scale of the whole, so all operands are those that one rank alone would have, bit for bit. Layers take turns in two
/// sets of buffers. Owns no tensor.
class Exchange {
 public:
  static constexpr std::size_t kEmbedding = 0;
  static constexpr std::size_t kHead = 1;  // and the final norm
  static constexpr std::size_t kFirstBlock = 2;
  static constexpr std::size_t Block(std::size_t layer) { return kFirstBlock + layer; }
  /// The units that backward comes to last.
  static constexpr std::array<std::size_t, 2> kLast = {kFirstBlock, kEmbedding};

  /// Ranks that are `sharding`, with operands of `recipe`. For one rank alone nothing is gathered and nothing summed.
  Exchange(const Sharding& sharding, const Recipe& recipe);

  /// Lays out the parameters, which must stay where they are: this rank's part of masters and of the gradients' sums,
  /// and for the layers whole operands and gradients in `exchange`, or in `weights` where operands stay for a step.
  void LayOut(std::span<Parameter> parameters, Arena& masters, Arena& gradients, Arena& weights, Arena& exchange);
  /// Lays out only whole operands, for a second model of the same parameters, which are laid out.
  void LayOutOperands(std::span<Parameter> parameters, Arena& weights, Arena& exchange);

  const Sharding& sharding() const { return sharding_; }
  /// Whether backward writes into buffers that each micro-batch starts anew.
  bool reduces_micro_batches() const { return sharding_.reduces_micro_batches; }

  /// The largest magnitudes of the parts become those of the whole parameters. [P] f32
  void ReduceMagnitudes(Context& ctx, TensorView magnitudes) const;
  /// Gathers the operands of all units, where they stay for a step.
  void GatherForStep(Context& ctx) const;

  // A pass: what a micro-batch or an evaluation batch does. What ranks tell one another goes on beside the layers'
  // work.

  /// To be called first: nothing is taken for gathered, unless the pass `continues` a step, right after another of its
  /// micro-batches: then what that has left gathered is.
  void BeginPass(bool continues = false);
  /// Before a unit is used: waits for its operands, and starts to gather those of the unit that comes next (which may
  /// be the same), unless their buffer holds them or they stay for a step. The unit that had the buffer must not be
  /// used any more, or be gathered again.
  void Use(Context& ctx, std::size_t unit, std::size_t next);
  /// Waits until the gradients' buffer of a unit is free: to be called before backward writes there.
  void BeginBackward(Context& ctx, std::size_t unit);
  /// Starts to sum the gradients of a unit over the ranks, into the sums of the step: it writes them if `first`. The
  /// units that backward comes to last, kLast, are left, as nothing is behind them that could hide the sum: ReduceLeft
  /// sums them in the next micro-batch's pass, or ReduceStep after the last of a step.
  void Reduce(Context& ctx, std::size_t unit, bool first);
  /// Starts to sum what the micro-batch before has left.
  void ReduceLeft(Context& ctx);
  /// Waits for all of it that was started.
  void EndPass(Context& ctx);

  /// Sums over the ranks, at the end of a step, what its micro-batches have left: all gradients, or those of kLast.
  void ReduceStep(Context& ctx) const;

 private:
  void LayOutUnit(std::size_t unit, bool with_gradients, Arena& weights, Arena& exchange);
  void LayOutUnits(bool with_gradients, Arena& weights, Arena& exchange);
  void Prefetch(Context& ctx, std::size_t unit);
  void StartToReduce(Context& ctx, std::size_t unit, bool first);
  /// This rank's part of a parameter's operand, from its part of the master.
  void MakePart(Context& ctx, const Parameter& parameter) const;
  void GatherUnits(Context& ctx, std::size_t begin, std::size_t end) const;
  void ReduceUnit(Context& ctx, std::size_t unit, bool first) const;
  /// Whether two units take turns in the same buffers: see LayOutUnits.
  bool TakeTurns(std::size_t a, std::size_t b) const;

  Sharding sharding_;
  Recipe recipe_;
  std::span<Parameter> parameters_;
  std::vector<std::vector<std::size_t>> units_;  // of indices of parameters
  bool outer_units_take_turns_ = false;          // embedding and head
  /// What of this pass is under way for a unit.
  struct UnderWay {
    bool gathered = false;  // or being gathered: the buffer is this unit's
    Context::Ticket gather, reduce;
  };
  std::vector<UnderWay> under_way_;  // by unit
};

}  // namespace coat
