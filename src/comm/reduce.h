#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/context.h"
#include "base/dtype.h"
#include "comm/communicator.h"

namespace coat {

/// Throws ArgumentError unless tensors of `dtype` can be reduced over ranks: f32 and bf16 for kSum, f32 for kMax.
void RequireReducible(DType dtype, Reduction reduction);

/// out[i] = the reduction of sources[0][i], sources[1][i], ..., each of `elements` elements of `dtype`.
/// `out` may be one of the sources. Throws ArgumentError as RequireReducible does.
///
/// Rounding: a sum is ((s0 + s1) + s2) + ... in float32, rounded to `dtype` once. Exactness: bitwise, but for which of
/// several NaNs comes out. A maximum with a NaN is a NaN.
void ReduceInOrder(Context& ctx, std::span<const std::byte* const> sources, std::byte* out, std::int64_t elements,
                   DType dtype, Reduction reduction);

}  // namespace coat
