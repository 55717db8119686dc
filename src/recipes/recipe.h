#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/tensor.h"
#include "config/config.h"

namespace coat {

/// A precision recipe as data: in which format each kind of tensor exists, and what is kept. Nothing else decides it.
///
/// "Kept" is what forward leaves for backward. Operands are what enters a matrix product; in a plain recipe they are
/// the compute type itself, and the transposed copies do not exist.
struct Recipe {
  std::string name;                   // "bf16", "f32", "fp8linear", "fp8deepseek", "coat_real"
  DType compute = DType::kBF16;       // residual stream, attention, head: f32 or bf16
  DType gradient = DType::kF32;       // accumulated gradients of parameters: f32 or bf16
  Format kept_input;                  // input of half a block's first linear layer: plain, or already linear_input
  Format kept_output;                 // what backward needs of a linear layer's output: plain, or in groups (fobit)
  Format linear_input;                // operand of the forward product (fabit)
  Format linear_input_t;              // its transpose, operand of the weight's gradient (fabit)
  Format weight;                      // operand of the forward product and of the input's gradient (fwbit)
  Format inner_gradient;              // gradients inside a block: of qkv and of up and gate (babit)
  Format outer_gradient;              // gradients that enter a block's branch: of the residual stream (bobit)
  Format gradient_t;                  // a gradient's transpose, operand of the weight's gradient (bwbit)
  bool fast_forward = false;          // GemmArgs::fast_accumulation of the forward product
  bool fast_input_gradient = false;   // of the input's gradient
  bool fast_weight_gradient = false;  // of the weight's gradient, whose inner extent is all tokens
  WeightCache weight_cache = WeightCache::kBoth;  // which of the weights' operands are kept over a step
  std::optional<ActivationCheckpointing> checkpointing = std::nullopt;  // which blocks keep their input only

  /// Whether products take FP8 operands.
  bool Fp8() const { return linear_input.scaling != Scaling::kNone; }
  /// Whether operands have one scale a tensor, so that largest magnitudes have to be known before they are made.
  bool PerTensor() const { return linear_input.scaling == Scaling::kTensor; }
  /// Whether outputs of linear layers are kept in groups (COAT) rather than in the compute type.
  bool KeepsGroups() const { return kept_output.scaling == Scaling::kGroup; }
  /// Whether a block, counted from 0, keeps only its input and runs forward again before backward. Results are the
  /// same.
  bool Recomputes(std::int64_t layer) const;
};

/// The recipe without FP8: everything in `compute`. A weight has one operand then, which kNone makes at each use.
Recipe PlainRecipe(DType compute, DType gradient, WeightCache weight_cache);

/// The recipe of a validated configuration: quantize_model, precision, gradient_precision (float32 under fp32) and
/// activation_checkpointing.
Recipe MakeRecipe(const TrainConfig& config);

}  // namespace coat
