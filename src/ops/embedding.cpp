#include "ops/embedding.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args) {
  RequireRank(ctx, "EmbeddingForward weight", args.weight, 2);
  RequirePlain(ctx, "EmbeddingForward weight", args.weight, args.weight.shape());
  RequireRank(ctx, "EmbeddingForward ids", args.ids, 1);
  RequireTensor(ctx, "EmbeddingForward ids", args.ids, args.ids.shape(), DType::kI32);
  RequirePlain(ctx, "EmbeddingForward x", args.x, {args.ids.shape()[0], args.weight.shape()[1]});
  COAT_DISPATCH(EmbeddingForward, ctx, args);
}

void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args) {
  RequireRank(ctx, "EmbeddingBackward d_weight", args.d_weight, 2);
  RequirePlain(ctx, "EmbeddingBackward d_weight", args.d_weight, args.d_weight.shape());
  RequireRank(ctx, "EmbeddingBackward ids", args.ids, 1);
  RequireTensor(ctx, "EmbeddingBackward ids", args.ids, args.ids.shape(), DType::kI32);
  RequirePlain(ctx, "EmbeddingBackward d_x", args.d_x, {args.ids.shape()[0], args.d_weight.shape()[1]});
  RequireTensor(ctx, "EmbeddingBackward order", args.order, args.ids.shape(), DType::kI32);
  COAT_DISPATCH(EmbeddingBackward, ctx, args);
}

}  // namespace coat
