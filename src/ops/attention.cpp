#include "ops/attention.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// What both directions read or write of the forward op: shapes follow from lse [B, H, T] and out [N, H K].
void RequireAttentionOperands(const Context& ctx, std::string_view op, ConstTensorView qkv, ConstTensorView out,
                              ConstTensorView lse, ConstTensorView documents, std::int64_t heads,
                              std::int64_t kv_heads) {
  const auto name = [op](std::string_view argument) { return std::string(op) + " " + std::string(argument); };
  RequireHeads(op, heads, kv_heads);
  RequireRank(ctx, name("lse"), lse, 3);
  RequireTensor(ctx, name("lse"), lse, {lse.shape()[0], heads, lse.shape()[2]}, DType::kF32);
  RequireRank(ctx, name("out"), out, 2);
  const std::int64_t tokens = lse.shape()[0] * lse.shape()[2];
  const std::int64_t head_size = out.shape()[1] / heads;
  COAT_REQUIRE(head_size > 0 && head_size <= kMaxHeadSize && out.shape()[1] % heads == 0,
               "{} out is {}; expected a width of {} heads of 1 to {} columns", op, out.ToString(), heads,
               kMaxHeadSize);
  RequirePlain(ctx, name("out"), out, {tokens, heads * head_size});
  RequireTensor(ctx, name("qkv"), qkv, {tokens, (heads + 2 * kv_heads) * head_size}, out.dtype());
  if (documents) RequireTensor(ctx, name("documents"), documents, {tokens}, DType::kI32);
}

}  // namespace

void AttentionForward(Context& ctx, const AttentionForwardArgs& args) {
  RequireAttentionOperands(ctx, "AttentionForward", args.qkv, args.out, args.lse, args.documents, args.heads,
                           args.kv_heads);
  COAT_DISPATCH(AttentionForward, ctx, args);
}

void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args) {
  RequireAttentionOperands(ctx, "AttentionBackward", args.qkv, args.out, args.lse, args.documents, args.heads,
                           args.kv_heads);
  RequireTensor(ctx, "AttentionBackward d_out", args.d_out, args.out.shape(), args.out.dtype());
  RequireTensor(ctx, "AttentionBackward d_qkv", args.d_qkv, args.qkv.shape(), args.qkv.dtype());
  COAT_DISPATCH(AttentionBackward, ctx, args);
}

}  // namespace coat
