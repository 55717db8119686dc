#pragma once

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/parameter.h"
#include "recipes/recipe.h"

namespace coat {

/// A parameter in the forms in which matrix products take it (COAT's weight cache).
///
/// Refresh runs at the first micro-batch of a step, when the master has changed. It makes what Recipe::weight_cache
/// keeps: both operands, one or none; each use makes what is missing in scratch memory. All give
/// the same operands, bit for bit. Where ranks share the parameter, the operand is gathered by others
/// (models/exchange.h) and nothing is kept. Owns nothing: the master is the parameter's, the rest lies in
/// arenas.
class Weight {
 public:
  /// `format` is Recipe::weight for a linear layer, or plain.
  Weight(const Recipe& recipe, Format format) : format_(format), cache_(recipe.weight_cache) {}

  /// Takes the parameter, whose value and absmax must stay where they are, and lays out what is kept over a step.
  void LayOut(const Parameter& parameter, Arena& weights);
  /// From the master and, in per-tensor formats, its largest magnitude.
  void Refresh(Context& ctx);
  /// Whether products add to the parameter's gradient (the default) or write it, as the first of a step does.
  void AccumulateGradient(bool accumulate) { accumulate_ = accumulate; }

  const Parameter& parameter() const { return parameter_; }
  bool accumulates() const { return accumulate_; }
  /// [out, in], for a product with layout kNT.
  ConstQuantizedView ForOutput(Context& ctx, Arena& scratch) const;
  /// For the gradient of the input: FP8 as [in, out] for kNT, plain as [out, in] for kNN.
  ConstQuantizedView ForInputGradient(Context& ctx, Arena& scratch) const;

 private:
  bool IsMaster() const { return format_ == Format::Plain(DType::kF32); }
  Shape TransposedShape() const { return {parameter_.shape[1], parameter_.shape[0]}; }
  /// Whether the parameter is gathered in the operand's own format.
  bool IsGathered() const { return parameter_.operand && parameter_.operand.format == format_; }
  void Make(Context& ctx, const QuantizedView& w, const QuantizedView& w_t) const;

  Format format_;
  WeightCache cache_;
  bool accumulate_ = true;
  Parameter parameter_;
  QuantizedView w_;    // [out, in], if kept or gathered
  QuantizedView w_t_;  // [in, out], if kept and FP8
};

}  // namespace coat
