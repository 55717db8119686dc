#pragma once

#include <cstdint>
#include <memory>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "nn/attention.h"
#include "nn/half_norm.h"
#include "nn/mlp.h"
#include "nn/parameter.h"
#include "nn/residual.h"
#include "recipes/recipe.h"

namespace coat {

/// One transformer block (COAT's CoatOLMoSequentialBlock): attention and MLP, each with its norm. Owns no tensor.
class Block {
 public:
  struct Config {
    BeforeAttention::Config attention;
    Mlp::Config mlp;
    bool norm_after = false;  // HalfNorm: OLMo 2's block instead of OLMo 1's
    float norm_eps = 1e-5f;
  };
  struct Saved {
    HalfNorm::Saved attention_norm;
    BeforeAttention::Saved before;
    AfterAttention::Saved after;
    HalfNorm::Saved mlp_norm;
    Mlp::Saved mlp;
  };

  Block(const Config& config, const Recipe& recipe);

  /// Whether Forward needs ResidualStream::absmax.
  bool MeasuresStream() const { return attention_norm_->MeasuresStream(); }

  /// Takes its parameters, and lays out what the recipe keeps of the weights.
  void LayOut(const FindParameter& find, Arena& weights);
  Saved LayOutSaved(std::int64_t sequences, std::int64_t length, std::int64_t width, Arena& saved) const;
  void RefreshWeights(Context& ctx);
  /// Whether Backward adds to the weights' gradients or writes them.
  void AccumulateGradients(bool accumulate);
  /// `input` [N, D], where it is given, takes a copy of the stream as the block found it, with any pending branch
  /// added: all that Recompute needs.
  void Forward(Context& ctx, ResidualStream& stream, const TokenPositions& positions, const Saved& saved,
               Arena& scratch, TensorView input = {}) const;
  /// Fills `saved` with the bytes that Forward left there, from its `input`, which is overwritten.
  void Recompute(Context& ctx, TensorView input, const TokenPositions& positions, const Saved& saved,
                 Arena& scratch) const;
  void Backward(Context& ctx, const Saved& saved, const TokenPositions& positions, const ResidualGradient& d_x,
                Arena& scratch) const;

 private:
  void ForwardAttention(Context& ctx, ResidualStream& stream, const TokenPositions& positions, const Saved& saved,
                        Arena& scratch) const;
  void BackwardAttention(Context& ctx, const Saved& saved, const TokenPositions& positions, const ResidualGradient& d_x,
                         Arena& scratch) const;
  void BackwardMlp(Context& ctx, const Saved& saved, const ResidualGradient& d_x, Arena& scratch) const;

  std::unique_ptr<HalfNorm> attention_norm_;
  BeforeAttention before_;
  AfterAttention after_;
  std::unique_ptr<HalfNorm> mlp_norm_;
  Mlp mlp_;
  const Recipe* recipe_;
};

}  // namespace coat
