#include "ops/cached_attention.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// Columns of a head, after the checks of what both ops have.
std::int64_t RequireOperands(const Context& ctx, std::string_view op, ConstTensorView qkv, ConstTensorView positions,
                             ConstTensorView cache, std::int64_t heads, std::int64_t kv_heads) {
  const auto name = [op](std::string_view argument) { return std::string(op) + " " + std::string(argument); };
  RequireHeads(op, heads, kv_heads);
  RequireRank(ctx, name("qkv"), qkv, 2);
  RequirePlain(ctx, name("qkv"), qkv, qkv.shape());
  const std::int64_t parts = heads + 2 * kv_heads;
  const std::int64_t head_size = qkv.shape()[1] / parts;
  COAT_REQUIRE(qkv.shape()[1] % parts == 0 && head_size > 0 && head_size <= kMaxHeadSize,
               "{} qkv is {}; expected a width of {} heads of 1 to {} columns", op, qkv.ToString(), parts,
               kMaxHeadSize);
  RequireTensor(ctx, name("positions"), positions, {qkv.shape()[0]}, DType::kI32);
  RequireRank(ctx, name("cache"), cache, 2);
  RequireTensor(ctx, name("cache"), cache, {cache.shape()[0], 2 * kv_heads * head_size}, qkv.dtype());
  return head_size;
}

}  // namespace

void StoreKeysValues(Context& ctx, const StoreKeysValuesArgs& args) {
  RequireOperands(ctx, "StoreKeysValues", args.qkv, args.positions, args.cache, args.heads, args.kv_heads);
  COAT_DISPATCH(StoreKeysValues, ctx, args);
}

void CachedAttention(Context& ctx, const CachedAttentionArgs& args) {
  const std::int64_t head_size =
      RequireOperands(ctx, "CachedAttention", args.qkv, args.positions, args.cache, args.heads, args.kv_heads);
  RequireTensor(ctx, "CachedAttention out", args.out, {args.qkv.shape()[0], args.heads * head_size}, args.qkv.dtype());
  COAT_DISPATCH(CachedAttention, ctx, args);
}

}  // namespace coat
