#pragma once

#include <memory>
#include <string>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/linear.h"
#include "nn/parameter.h"
#include "nn/residual.h"
#include "recipes/recipe.h"

namespace coat {

/// The norm of half a block, and how the half hangs on the residual stream. D columns.
///
/// NormBefore (OLMo 1): a LayerNorm without weight makes the half's input of the stream, and the half's output is added
/// as it is; the add is left to the next norm, so that add, norm and coding are one pass over x. NormAfter (OLMo 2):
/// the half takes in the stream itself, and an RMSNorm with weight stands between its output and the add.
class HalfNorm {
 public:
  struct Config {
    std::string name;  // "attn_norm" or "ff_norm", as in OLMo
    float eps = 1e-5f;
  };
  struct Saved {
    QuantizedView input;        // [N, D] in Recipe::kept_input: the input of the half's first linear layer
    TensorView absmax;          // [1] f32 of input, in per-tensor recipes; empty where NormAfter has coded it
    TensorView rstd;            // [N] f32 of the norm
    QuantizedView branch = {};  // [N, D] in Recipe::kept_output: the half's output; NormAfter only

    LinearInput AsLinearInput() const { return {input, absmax}; }
  };

  virtual ~HalfNorm() = default;

  virtual void LayOut(const FindParameter& find) = 0;
  virtual void AccumulateGradient(bool accumulate) = 0;
  virtual Saved LayOutSaved(Shape x, Arena& saved) const = 0;

  /// Whether ResidualStream::absmax is needed: the half's input is the stream itself, coded with one scale.
  virtual bool MeasuresStream() const = 0;
  /// Makes the half's input of the stream.
  virtual void Enter(Context& ctx, ResidualStream& stream, const Saved& saved, Arena& scratch) const = 0;
  /// Where the half writes its output [N, D] of the compute type.
  virtual TensorView Output(const ResidualStream& stream, const Saved& saved) const = 0;
  /// Brings the half's output into the stream.
  virtual void Leave(Context& ctx, ResidualStream& stream, const Saved& saved) const = 0;
  /// Whether backward needs the half's output, so that recomputation has to run the half to its end.
  virtual bool KeepsOutput() const = 0;

  /// The gradient of the half's output, from the stream's.
  virtual BranchGradient BackwardLeave(Context& ctx, const Saved& saved, const ResidualGradient& d_x,
                                       Arena& scratch) const = 0;
  /// From the gradient of the output of `layer`, the half's first linear layer, to its weight's and the stream's.
  virtual void BackwardEnter(Context& ctx, const Linear& layer, const GradientOperands& d_output, const Saved& saved,
                             const ResidualGradient& d_x, Arena& scratch) const = 0;
};

std::unique_ptr<HalfNorm> MakeNormBefore(const HalfNorm::Config& config, const Recipe& recipe);
std::unique_ptr<HalfNorm> MakeNormAfter(const HalfNorm::Config& config, const Recipe& recipe);

}  // namespace coat
