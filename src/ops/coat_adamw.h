#pragma once

#include <cstdint>
#include <span>

#include "base/context.h"
#include "base/tensor.h"
#include "numerics/adamw.h"

namespace coat {

/// A moment of n elements in groups of G consecutive ones (the last may be smaller), as numerics/expansion.h stores it.
/// All bytes zero is a moment of zeros.
struct ExpandedMoment {
  TensorView codes;          // of the parameter's shape, e4m3 or e5m2
  TensorView absmax;         // [ceil(n / G)] f32
  TensorView exponent = {};  // [ceil(n / G)] f32; without it the moment is not expanded
};

/// One parameter of an update.
struct CoatAdamWTensor {
  TensorView param;                 // [...] f32, n elements, updated
  ConstTensorView grad;             // of param's shape, f32 or bf16, finite
  ExpandedMoment exp_avg;           // updated
  ExpandedMoment exp_avg_sq;        // of numbers from 0 on, updated
  ConstTensorView grad_scale = {};  // [1] f32, by which the gradient is multiplied; 1 when it is missing
  double weight_decay = 0.0;
};

struct CoatAdamWArgs {
  std::span<const CoatAdamWTensor> tensors;  // apart in memory; each moment in the same format in all of them
  std::int64_t group = 128;                  // G: a multiple of 32, 32 to 256
  std::int64_t expand_min = 16;              // exponents are multiples of 1 / expand_min; 1 to 2^20
  AdamWSettings settings;                    // eps >= 2^-126, step >= 1
  TensorView absmax = {};  // [tensors] f32, written: the largest magnitude of each updated parameter; may be missing
};

/// One AdamW update of all tensors with moments in FP8: decode, AdamW's update, encode anew, in one pass over each
/// group.
///
/// The parameter is updated with the moments before they are encoded. Finite for every finite gradient, whatever a
/// group holds: zeros, constants, one element, any range. Zeros are stored as zeros, and nothing else is.
/// Rounding, on the CPU: the moments as DecodeExpanded or DecodeUnexpanded, then as the op AdamW, then the new largest
/// and smallest magnitudes (exact), ExpansionExponent, and EncodeExpanded or EncodeUnexpanded, to the bit.
/// absmax is exact: AbsMax of the parameter as updated.
/// Exactness: bound. Another backend may compute powers, roots and quotients approximately:
///   a decoded moment within 2^-15 of itself, or of 2^-126 of its group's largest, and with these moments
///   the update of the parameter, lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps), within 1e-6 of itself;
///   an exponent that is right for a range log2(absmax / absmin) no more than 2e-5 off: one step off where that
///   decides; the code of a number within (2 k + 32) 2^-22 of kMax * (|x| / absmax)^k, with the absmax and exponent k
///   stored: one code off where that decides. Results do not depend on how many tensors a call has.
/// Throws ArgumentError unless shapes, types, devices and settings are as above.
/// Source: COAT (arXiv:2410.19313), CoatAdamW. Two kinds of groups differ: of a group with a single magnitude COAT
/// makes an infinite exponent, and where a group has zeros it may take one for the smallest magnitude.
void CoatAdamW(Context& ctx, const CoatAdamWArgs& args);

namespace cpu {
void CoatAdamW(Context& ctx, const CoatAdamWArgs& args);
}  // namespace cpu
namespace cuda {
void CoatAdamW(Context& ctx, const CoatAdamWArgs& args);
}  // namespace cuda

}  // namespace coat
