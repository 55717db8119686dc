#include "ops/lion.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void LionW(Context& ctx, const LionWArgs& args) {
  const Shape shape = args.param.shape();
  RequireTensor(ctx, "LionW param", args.param, shape, DType::kF32);
  RequirePlain(ctx, "LionW grad", args.grad, shape);
  RequireTensor(ctx, "LionW exp_avg", args.exp_avg, shape, DType::kF32);
  if (args.grad_scale) RequireTensor(ctx, "LionW grad_scale", args.grad_scale, {1}, DType::kF32);
  COAT_DISPATCH(LionW, ctx, args);
}

}  // namespace coat
