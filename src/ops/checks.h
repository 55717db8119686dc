#pragma once
// Checks that front doors share. Each throws ArgumentError with "Op argument is ...; expected ...".

#include <initializer_list>
#include <string_view>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

/// `x` must be there, on the context's device, with this shape and type.
void RequireTensor(const Context& ctx, std::string_view argument, ConstTensorView x, Shape shape, DType dtype);

/// `x` must be there, on the context's device, f32 or bf16, with this shape.
void RequirePlain(const Context& ctx, std::string_view argument, ConstTensorView x, Shape shape);

/// `x` must be there, on the context's device, of this rank.
void RequireRank(const Context& ctx, std::string_view argument, ConstTensorView x, int rank);

/// `heads` must be a multiple of `kv_heads`, both above 0.
void RequireHeads(std::string_view op, std::int64_t heads, std::int64_t kv_heads);

/// `table` must be [T, K] f32 with T > 0 and an even K > 0, and `qkv` [N, (heads + 2 kv_heads) K] f32 or bf16 with N a
/// multiple of T; there must be a head and a kv_head. The arguments are called `op` table and `qkv_name`.
void RequireRotary(const Context& ctx, std::string_view op, ConstTensorView table, std::string_view qkv_name,
                   ConstTensorView qkv, std::int64_t heads, std::int64_t kv_heads);

/// `x` must have codes of this shape and scales as its format wants them, all on the context's device, and its format's
/// scaling must be one of `accepted`. Plain formats have f32 or bf16 values and no scales; all others FP8 codes.
void RequireQuantized(const Context& ctx, std::string_view argument, const ConstQuantizedView& x, Shape shape,
                      std::initializer_list<Scaling> accepted);

}  // namespace coat
