#include "ops/qk_norm_rope.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// Checks what both directions have.
template <class Args>
void RequireOperands(const Context& ctx, std::string_view op, const Args& args) {
  const std::string prefix = std::string(op) + " ";
  COAT_REQUIRE(args.heads > 0 && args.kv_heads > 0, "{} has {} heads and {} kv_heads; expected at least one of each",
               op, args.heads, args.kv_heads);
  RequireRank(ctx, prefix + "table", args.table, 2);
  const std::int64_t positions = args.table.shape()[0];
  const std::int64_t head_size = args.table.shape()[1];
  RequireTensor(ctx, prefix + "table", args.table, args.table.shape(), DType::kF32);
  COAT_REQUIRE(positions > 0 && head_size > 0 && head_size % 2 == 0,
               "{}table is {}; expected [T, K] with T > 0 and an even K > 0", prefix, args.table.ToString());
  RequireRank(ctx, prefix + "qkv", args.qkv, 2);
  const std::int64_t tokens = args.qkv.shape()[0];
  RequirePlain(ctx, prefix + "qkv", args.qkv, {tokens, (args.heads + 2 * args.kv_heads) * head_size});
  COAT_REQUIRE(tokens % positions == 0, "{}qkv is {}; expected a multiple of the table's {} rows", prefix,
               args.qkv.ToString(), positions);
  RequireTensor(ctx, prefix + "q_weight", args.q_weight, {args.heads * head_size}, DType::kF32);
  RequireTensor(ctx, prefix + "k_weight", args.k_weight, {args.kv_heads * head_size}, DType::kF32);
  RequireTensor(ctx, prefix + "q_rstd", args.q_rstd, {tokens}, DType::kF32);
  RequireTensor(ctx, prefix + "k_rstd", args.k_rstd, {tokens}, DType::kF32);
}

}  // namespace

void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args) {
  RequireOperands(ctx, "QkNormRopeForward", args);
  RequireTensor(ctx, "QkNormRopeForward rotated", args.rotated, args.qkv.shape(), args.qkv.dtype());
  COAT_DISPATCH(QkNormRopeForward, ctx, args);
}

void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args) {
  RequireOperands(ctx, "QkNormRopeBackward", args);
  RequireTensor(ctx, "QkNormRopeBackward d_qkv", args.d_qkv, args.qkv.shape(), args.qkv.dtype());
  RequirePlain(ctx, "QkNormRopeBackward d_q_weight", args.d_q_weight, args.q_weight.shape());
  RequireTensor(ctx, "QkNormRopeBackward d_k_weight", args.d_k_weight, args.k_weight.shape(), args.d_q_weight.dtype());
  if (args.absmax) RequireTensor(ctx, "QkNormRopeBackward absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(QkNormRopeBackward, ctx, args);
}

}  // namespace coat
