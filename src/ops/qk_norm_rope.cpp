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
  RequireRotary(ctx, op, args.table, "qkv", args.qkv, args.heads, args.kv_heads);
  const std::int64_t tokens = args.qkv.shape()[0];
  const std::int64_t head_size = args.table.shape()[1];
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
