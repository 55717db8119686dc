#pragma once

#include <cstdint>
#include <string>

#include "base/tensor.h"

namespace coat {

/// What a parameter is, as weight decay and initialization distinguish it.
enum class ParameterKind : std::uint8_t { kLinearWeight, kEmbedding };

/// How a parameter starts: normal with this standard deviation, cut off at +-cutoff deviations (0: not cut off).
struct Initialization {
  float std = 0.0f;
  float cutoff = 0.0f;
};

/// One trained tensor: its OLMo name, its float32 master and its gradient. Owns nothing.
struct Parameter {
  std::string name;  // "transformer.blocks.0.att_proj.weight"
  Shape shape;
  ParameterKind kind = ParameterKind::kLinearWeight;
  Initialization initialization;
  TensorView value;  // shape, f32
  TensorView grad;   // shape, f32 or bf16
};

}  // namespace coat
