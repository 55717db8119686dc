#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/tensor.h"

namespace coat {

/// What a parameter is, as weight decay and initialization distinguish it.
enum class ParameterKind : std::uint8_t { kLinearWeight, kEmbedding, kNormWeight };

/// How a parameter starts: normal with this standard deviation, cut off at +-cutoff deviations (0: not cut off). Norm
/// weights are 1 instead.
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
  TensorView value;   // shape, f32
  TensorView grad;    // shape, f32 or bf16
  TensorView absmax;  // [1] f32: the largest magnitude of value, where operands need it; else empty
};

/// Looks up one of several parameters by the end of its name: "att_proj.weight". Throws ArgumentError if it is not
/// there.
using FindParameter = std::function<const Parameter&(std::string_view name)>;

}  // namespace coat
