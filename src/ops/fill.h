#pragma once

#include <cstdint>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct FillArgs {
  TensorView x;        // any shape, f32 or bf16, written
  float value = 0.0f;  // rounded once to x's type
};

/// x = value. Rounding: value once to x's type. Exactness: bitwise. Throws ArgumentError unless x is as above. Source:
/// torch's fill_.
void Fill(Context& ctx, const FillArgs& args);

struct FillNormalArgs {
  TensorView x;                 // any shape, f32, written
  std::uint64_t seed = 0;       // of the run
  std::uint64_t tensor_id = 0;  // which tensor of the run
  std::int64_t offset = 0;      // index in the whole tensor of x's first element, for a shard
  float std = 1.0f;             // finite, at least 0
  float cutoff = 0.0f;          // in standard deviations; 0: not cut off
};

/// Normal numbers with mean 0 and standard deviation `std`, those beyond +-cutoff * std excluded.
///
/// Element i of the whole tensor is a function of seed, tensor_id and i alone: word i % 4 of Philox with key seed and
/// counter (i / 4, tensor_id), through TruncatedNormal of numerics/normal.h. So neither the sharding nor the backend
/// matters. Rounding: the number, then its product with std once in float32. Exactness: bitwise. Throws ArgumentError
/// unless types, devices and numbers are as above. Source: the truncated normal of OLMo's initialization (inverse of
/// the distribution); the random stream differs.
void FillNormal(Context& ctx, const FillNormalArgs& args);

namespace cpu {
void Fill(Context& ctx, const FillArgs& args);
void FillNormal(Context& ctx, const FillNormalArgs& args);
}  // namespace cpu
namespace cuda {
void Fill(Context& ctx, const FillArgs& args);
void FillNormal(Context& ctx, const FillNormalArgs& args);
}  // namespace cuda

}  // namespace coat
