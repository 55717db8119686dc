#include "ops/cross_entropy.h"

#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void CrossEntropy(Context& ctx, const CrossEntropyArgs& args) {
  RequireRank(ctx, "CrossEntropy logits", args.logits, 2);
  RequirePlain(ctx, "CrossEntropy logits", args.logits, args.logits.shape());
  COAT_REQUIRE(args.logits.shape()[1] > 0, "CrossEntropy logits is {}; expected [N, E] with E > 0",
               ConstTensorView(args.logits).ToString());
  const std::int64_t rows = args.logits.shape()[0];
  RequireTensor(ctx, "CrossEntropy labels", args.labels, {rows}, DType::kI32);
  RequireTensor(ctx, "CrossEntropy loss", args.loss, {rows}, DType::kF32);
  RequireTensor(ctx, "CrossEntropy z_squared", args.z_squared, {rows}, DType::kF32);
  if (args.gradient) RequireTensor(ctx, "CrossEntropy weights", args.weights, {2}, DType::kF32);
  COAT_REQUIRE(std::isfinite(args.logit_scale), "CrossEntropy has logit_scale {}; expected a finite number",
               args.logit_scale);
  COAT_DISPATCH(CrossEntropy, ctx, args);
}

}  // namespace coat
