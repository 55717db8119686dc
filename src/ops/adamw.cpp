#include "ops/adamw.h"

#include <fmt/core.h>

#include <string>

#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/update_checks.h"

namespace coat {

void AdamW(Context& ctx, const AdamWArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const AdamWTensor& tensor = args.tensors[i];
    const std::string name = fmt::format("AdamW tensors[{}]", i);
    RequireUpdated(ctx, name, tensor);
    RequireTensor(ctx, name + " exp_avg", tensor.exp_avg, tensor.param.shape(), DType::kF32);
    RequireTensor(ctx, name + " exp_avg_sq", tensor.exp_avg_sq, tensor.param.shape(), DType::kF32);
  }
  RequireAdamWSettings("AdamW", args.settings);
  RequireAbsMaxOfTensors(ctx, "AdamW", args.absmax, args.tensors.size());
  COAT_DISPATCH(AdamW, ctx, args);
}

}  // namespace coat
