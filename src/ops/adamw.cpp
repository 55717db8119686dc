#include "ops/adamw.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void RequireAdamWSettings(std::string_view op, const AdamWSettings& settings) {
  COAT_REQUIRE(std::isfinite(settings.learning_rate), "{} learning_rate is {}; expected a finite number", op,
               settings.learning_rate);
  COAT_REQUIRE(settings.beta1 >= 0.0 && settings.beta1 < 1.0 && settings.beta2 >= 0.0 && settings.beta2 < 1.0,
               "{} betas are {} and {}; expected numbers from 0 to below 1", op, settings.beta1, settings.beta2);
  COAT_REQUIRE(static_cast<float>(settings.eps) >= std::numeric_limits<float>::min(),
               "{} eps is {}; expected a float32 above 0 that is not subnormal", op, settings.eps);
  COAT_REQUIRE(settings.step >= 1, "{} step is {}; expected 1 at the first update", op, settings.step);
}

void RequireWeightDecay(std::string_view tensor, double weight_decay) {
  COAT_REQUIRE(std::isfinite(weight_decay), "{} weight_decay is {}; expected a finite number", tensor, weight_decay);
}

void AdamW(Context& ctx, const AdamWArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const AdamWTensor& tensor = args.tensors[i];
    const std::string name = fmt::format("AdamW tensors[{}]", i);
    const Shape shape = tensor.param.shape();
    RequireTensor(ctx, name + " param", tensor.param, shape, DType::kF32);
    RequirePlain(ctx, name + " grad", tensor.grad, shape);
    RequireTensor(ctx, name + " exp_avg", tensor.exp_avg, shape, DType::kF32);
    RequireTensor(ctx, name + " exp_avg_sq", tensor.exp_avg_sq, shape, DType::kF32);
    if (tensor.grad_scale) RequireTensor(ctx, name + " grad_scale", tensor.grad_scale, {1}, DType::kF32);
    RequireWeightDecay(name, tensor.weight_decay);
  }
  RequireAdamWSettings("AdamW", args.settings);
  if (args.absmax) {
    RequireTensor(ctx, "AdamW absmax", args.absmax, {static_cast<std::int64_t>(args.tensors.size())}, DType::kF32);
  }
  COAT_DISPATCH(AdamW, ctx, args);
}

}  // namespace coat
