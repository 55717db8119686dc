#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct EmbeddingForwardArgs {
  ConstTensorView weight;  // [E, D] f32 or bf16
  ConstTensorView ids;     // [N] i32, each in [0, E): checked where data enters, not here
  TensorView x;            // [N, D] f32 or bf16, written
};

/// x[n] = weight[ids[n]]. Rounding: once to x's type. Exactness: bitwise. Throws ArgumentError unless shapes, types and
/// devices are as above. Source: torch's embedding.
void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args);

struct EmbeddingBackwardArgs {
  ConstTensorView ids;  // [N] i32
  ConstTensorView d_x;  // [N, D] f32 or bf16
  TensorView d_weight;  // [E, D] f32 or bf16, added to
  TensorView order;     // [N] i32 scratch: positions sorted by id, equal ids in ascending position
};

/// d_weight[i] += sum over the positions n with ids[n] = i of d_x[n].
///
/// Rounding: a row's terms are summed in float32 in ascending n, then added to the row in float32 and rounded once.
/// Exactness: bitwise. Throws ArgumentError unless shapes, types and devices are as above. Source: its derivative,
/// which torch sums in any order.
void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args);

namespace cpu {
void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args);
void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args);
void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
