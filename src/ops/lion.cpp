#include "ops/lion.h"

#include <fmt/core.h>

#include <string>

#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/update_checks.h"

namespace coat {

void LionW(Context& ctx, const LionWArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const LionWTensor& tensor = args.tensors[i];
    const std::string name = fmt::format("LionW tensors[{}]", i);
    RequireUpdated(ctx, name, tensor);
    RequireTensor(ctx, name + " exp_avg", tensor.exp_avg, tensor.param.shape(), DType::kF32);
  }
  RequireLearningRateAndBetas("LionW", args.settings.learning_rate, args.settings.beta1, args.settings.beta2);
  RequireAbsMaxOfTensors(ctx, "LionW", args.absmax, args.tensors.size());
  COAT_DISPATCH(LionW, ctx, args);
}

}  // namespace coat
