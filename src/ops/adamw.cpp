#include "ops/adamw.h"

#include <cmath>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void RequireAdamWSettings(std::string_view op, const AdamWSettings& settings) {
  COAT_REQUIRE(std::isfinite(settings.learning_rate) && std::isfinite(settings.weight_decay),
               "{} learning_rate is {} and weight_decay {}; expected finite numbers", op, settings.learning_rate,
               settings.weight_decay);
  COAT_REQUIRE(settings.beta1 >= 0.0 && settings.beta1 < 1.0 && settings.beta2 >= 0.0 && settings.beta2 < 1.0,
               "{} betas are {} and {}; expected numbers from 0 to below 1", op, settings.beta1, settings.beta2);
  COAT_REQUIRE(static_cast<float>(settings.eps) > 0.0f, "{} eps is {}; expected a float32 above 0", op, settings.eps);
  COAT_REQUIRE(settings.step >= 1, "{} step is {}; expected 1 at the first update", op, settings.step);
}

void AdamW(Context& ctx, const AdamWArgs& args) {
  const Shape shape = args.param.shape();
  RequireTensor(ctx, "AdamW param", args.param, shape, DType::kF32);
  RequirePlain(ctx, "AdamW grad", args.grad, shape);
  RequireTensor(ctx, "AdamW exp_avg", args.exp_avg, shape, DType::kF32);
  RequireTensor(ctx, "AdamW exp_avg_sq", args.exp_avg_sq, shape, DType::kF32);
  if (args.grad_scale) RequireTensor(ctx, "AdamW grad_scale", args.grad_scale, {1}, DType::kF32);
  RequireAdamWSettings("AdamW", args.settings);
  COAT_DISPATCH(AdamW, ctx, args);
}

}  // namespace coat
