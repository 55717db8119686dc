#include "ops/update_checks.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "base/error.h"
#include "ops/checks.h"

namespace coat {

void RequireLearningRateAndBetas(std::string_view op, double learning_rate, double beta1, double beta2) {
  COAT_REQUIRE(std::isfinite(learning_rate), "{} learning_rate is {}; expected a finite number", op, learning_rate);
  COAT_REQUIRE(beta1 >= 0.0 && beta1 < 1.0 && beta2 >= 0.0 && beta2 < 1.0,
               "{} betas are {} and {}; expected numbers from 0 to below 1", op, beta1, beta2);
}

void RequireAdamWSettings(std::string_view op, const AdamWSettings& settings) {
  RequireLearningRateAndBetas(op, settings.learning_rate, settings.beta1, settings.beta2);
  COAT_REQUIRE(static_cast<float>(settings.eps) >= std::numeric_limits<float>::min(),
               "{} eps is {}; expected a float32 above 0 that is not subnormal", op, settings.eps);
  COAT_REQUIRE(settings.step >= 1, "{} step is {}; expected 1 at the first update", op, settings.step);
}

void RequireAbsMaxOfTensors(const Context& ctx, std::string_view op, TensorView absmax, std::size_t tensors) {
  if (!absmax) return;
  RequireTensor(ctx, fmt::format("{} absmax", op), absmax, {static_cast<std::int64_t>(tensors)}, DType::kF32);
}

namespace detail {

void RequireUpdated(const Context& ctx, const std::string& name, TensorView param, ConstTensorView grad,
                    ConstTensorView grad_scale, double weight_decay) {
  RequireTensor(ctx, name + " param", param, param.shape(), DType::kF32);
  RequirePlain(ctx, name + " grad", grad, param.shape());
  if (grad_scale) RequireTensor(ctx, name + " grad_scale", grad_scale, {1}, DType::kF32);
  COAT_REQUIRE(std::isfinite(weight_decay), "{} weight_decay is {}; expected a finite number", name, weight_decay);
}

}  // namespace detail

}  // namespace coat
