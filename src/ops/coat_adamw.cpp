#include "ops/coat_adamw.h"

#include <string>

#include "base/error.h"
#include "ops/adamw.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

void RequireMoment(const Context& ctx, const std::string& argument, const ExpandedMoment& moment, Shape shape,
                   std::int64_t group) {
  COAT_REQUIRE(static_cast<bool>(moment.codes) && IsFp8(moment.codes.dtype()), "{} codes are {}; expected {} fp8",
               argument, ConstTensorView(moment.codes).ToString(), shape.ToString());
  RequireTensor(ctx, argument + " codes", moment.codes, shape, moment.codes.dtype());
  const Shape groups = {(shape.elements() + group - 1) / group};
  RequireTensor(ctx, argument + " absmax", moment.absmax, groups, DType::kF32);
  if (moment.exponent) RequireTensor(ctx, argument + " exponent", moment.exponent, groups, DType::kF32);
}

}  // namespace

void CoatAdamW(Context& ctx, const CoatAdamWArgs& args) {
  const Shape shape = args.param.shape();
  RequireTensor(ctx, "CoatAdamW param", args.param, shape, DType::kF32);
  RequirePlain(ctx, "CoatAdamW grad", args.grad, shape);
  COAT_REQUIRE(args.group >= 32 && args.group <= 256 && args.group % 32 == 0,
               "CoatAdamW group is {}; expected a multiple of 32 from 32 to 256", args.group);
  COAT_REQUIRE(args.expand_min >= 1 && args.expand_min <= 1 << 20, "CoatAdamW expand_min is {}; expected 1 to {}",
               args.expand_min, 1 << 20);
  RequireMoment(ctx, "CoatAdamW exp_avg", args.exp_avg, shape, args.group);
  RequireMoment(ctx, "CoatAdamW exp_avg_sq", args.exp_avg_sq, shape, args.group);
  if (args.grad_scale) RequireTensor(ctx, "CoatAdamW grad_scale", args.grad_scale, {1}, DType::kF32);
  RequireAdamWSettings("CoatAdamW", args.settings);
  COAT_DISPATCH(CoatAdamW, ctx, args);
}

}  // namespace coat
