#pragma once

#include <cstdint>

#include "config/config.h"
#include "plan/gpu.h"
#include "recipes/recipe.h"

namespace coat {

/// Seconds of a GPU's own work, by what it is spent on.
struct WorkTime {
  double products = 0.0;
  double attention = 0.0;
  double passes = 0.0;   // kernels that read and write tensors and compute little
  double weights = 0.0;  // making weights' operands

  double Total() const { return products + attention + passes + weights; }
  WorkTime& operator+=(const WorkTime& other);
  friend WorkTime operator*(double factor, const WorkTime& time);
};

/// What the parts of a training step cost on one GPU, predicted: products by their operations at the rates of Rates,
/// other kernels by the bytes that they must read and write at their shares of a copy.
///
/// N tokens of a micro-batch; the kernels are those of src/nn.
class ModelWork {
 public:
  /// `gathered`: weights are gathered from the ranks' parts, so that layers find them in the format in which they
  /// travel.
  ModelWork(const TrainConfig& config, const Recipe& recipe, const Rates& rates, bool gathered);

  WorkTime BlockForward(std::int64_t tokens) const;
  /// Forward again before backward, under activation_checkpointing.
  WorkTime BlockRecompute(std::int64_t tokens) const;
  WorkTime BlockBackward(std::int64_t tokens) const;
  WorkTime EmbeddingForward(std::int64_t tokens) const;
  WorkTime EmbeddingBackward(std::int64_t tokens) const;
  /// Final norm, head and loss, forward and backward.
  WorkTime Head(std::int64_t tokens) const;

  /// Once a step, of what this rank has: operands that are kept over a step, gradients' norms and the update of
  /// `elements` parameters.
  WorkTime Refresh() const;
  WorkTime Norms(std::int64_t elements) const;
  WorkTime Update(std::int64_t elements) const;

 private:
  struct Width {
    double d, qkv, kv, f, h;
  };
  /// Bytes read and written for each parameter of a block's weights, to make the operand of a product.
  double ForwardWeightBytes() const;
  double BackwardWeightBytes() const;

  void AddProduct(ProductRole role, double tokens, double in, double out, WorkTime& time) const;
  void AddPass(double bytes, double share, WorkTime& time) const;
  void AddWeights(double parameters, double bytes, WorkTime& time) const;
  /// Coding the input of a linear layer, where it is not kept as the operand.
  void AddInputCodes(double tokens, double width, WorkTime& time) const;
  /// The transposed operand of the weight's gradient, from an input that is kept plain.
  void AddTransposedInput(double tokens, double width, WorkTime& time) const;
  /// A gradient as operand, plain and transposed.
  void AddGradientCodes(double tokens, double width, bool measured, WorkTime& time) const;
  void AddEnter(double tokens, WorkTime& time) const;
  void AddAttentionHalf(double tokens, WorkTime& time) const;
  void AddAttention(double tokens, bool backward, WorkTime& time) const;

  const TrainConfig& config_;
  const Recipe& recipe_;
  Rates rates_;
  bool gathered_;
  Width width_;
  double block_weights_;
};

}  // namespace coat
