#include "ops/layer_norm.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args) {
  RequireRank(ctx, "AddLayerNorm x", args.x, 2);
  const Shape shape = args.x.shape();
  RequirePlain(ctx, "AddLayerNorm x", args.x, shape);
  COAT_REQUIRE(shape[1] > 0, "AddLayerNorm x is {}; a row must not be empty", shape.ToString());
  if (args.branch) RequireTensor(ctx, "AddLayerNorm branch", args.branch, shape, args.x.dtype());
  RequireTensor(ctx, "AddLayerNorm mean", args.mean, {shape[0]}, DType::kF32);
  RequireTensor(ctx, "AddLayerNorm rstd", args.rstd, {shape[0]}, DType::kF32);
  if (args.y) RequireTensor(ctx, "AddLayerNorm y", args.y, shape, args.x.dtype());
  if (args.absmax) RequireTensor(ctx, "AddLayerNorm absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(AddLayerNorm, ctx, args);
}

void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args) {
  RequireRank(ctx, "NormalizeQuantize x", args.x, 2);
  const Shape shape = args.x.shape();
  RequirePlain(ctx, "NormalizeQuantize x", args.x, shape);
  COAT_REQUIRE(shape[1] > 0, "NormalizeQuantize x is {}; a row must not be empty", shape.ToString());
  RequireTensor(ctx, "NormalizeQuantize mean", args.mean, {shape[0]}, DType::kF32);
  RequireTensor(ctx, "NormalizeQuantize rstd", args.rstd, {shape[0]}, DType::kF32);
  RequireTensor(ctx, "NormalizeQuantize absmax", args.absmax, {1}, DType::kF32);
  RequireQuantized(ctx, "NormalizeQuantize y", args.y, shape, {Scaling::kTensor});
  COAT_DISPATCH(NormalizeQuantize, ctx, args);
}

void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args) {
  RequireRank(ctx, "LayerNormBackward d_y", args.d_y, 2);
  const Shape shape = args.d_y.shape();
  RequirePlain(ctx, "LayerNormBackward d_y", args.d_y, shape);
  COAT_REQUIRE(shape[1] > 0, "LayerNormBackward d_y is {}; a row must not be empty", shape.ToString());
  RequireQuantized(ctx, "LayerNormBackward y", args.y, shape, {Scaling::kNone, Scaling::kTensor});
  RequireTensor(ctx, "LayerNormBackward rstd", args.rstd, {shape[0]}, DType::kF32);
  RequireTensor(ctx, "LayerNormBackward d_x", args.d_x, shape, args.d_y.dtype());
  if (args.absmax) RequireTensor(ctx, "LayerNormBackward absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(LayerNormBackward, ctx, args);
}

}  // namespace coat
