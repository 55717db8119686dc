#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/tensor.h"
#include "comm/partition.h"

namespace coat {

/// What a parameter is, as weight decay, initialization and formats distinguish it. The head's weight is kEmbedding
/// where it is the embedding's (weight_tying).
enum class ParameterKind : std::uint8_t { kLinearWeight, kEmbedding, kHeadWeight, kNormWeight };

/// How a parameter starts: normal with this standard deviation, cut off at +-cutoff deviations (0: not cut off). Norm
/// weights are 1 instead.
struct Initialization {
  float std = 0.0f;
  float cutoff = 0.0f;
};

/// One trained tensor: its OLMo name, its float32 master and its gradient. Owns nothing.
///
/// Where ranks share a model (models/sharding.h), a rank keeps a part of the master and of the gradient's sum; layers
/// then read `operand`, which is gathered from the parts, and write `local_grad`, which is summed up into them.
struct Parameter {
  std::string name;  // "transformer.blocks.0.att_proj.weight"
  Shape shape;
  ParameterKind kind = ParameterKind::kLinearWeight;
  std::int64_t layer = -1;  // whose it is; -1: of none, as embedding, head and final norm
  Initialization initialization;
  Part part;              // of the elements: what this rank keeps; all of them where ranks do not share
  TensorView value;       // f32: shape, or the part [part.count]
  TensorView grad;        // f32 or bf16, of value's shape: what the update takes
  TensorView local_grad;  // f32 or bf16, shape: what backward writes or adds to; grad itself, unless ranks sum it up
  QuantizedView operand;  // shape: the whole value as layers read it, where ranks gather it; else empty
  TensorView absmax;      // [1] f32: the largest magnitude of the whole value, where operands need it; else empty

  /// The whole master, or what was gathered of it in a format without scales. [shape]
  ConstTensorView Whole() const { return operand ? operand.codes : value; }
};

/// Looks up one of several parameters by the end of its name: "att_proj.weight". Throws ArgumentError if it is not
/// there.
using FindParameter = std::function<const Parameter&(std::string_view name)>;

}  // namespace coat
