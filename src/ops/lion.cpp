#include "ops/lion.h"

#include <fmt/core.h>

#include <string>

#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void LionW(Context& ctx, const LionWArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const LionWTensor& tensor = args.tensors[i];
    const std::string name = fmt::format("LionW tensors[{}]", i);
    const Shape shape = tensor.param.shape();
    RequireTensor(ctx, name + " param", tensor.param, shape, DType::kF32);
    RequirePlain(ctx, name + " grad", tensor.grad, shape);
    RequireTensor(ctx, name + " exp_avg", tensor.exp_avg, shape, DType::kF32);
    if (tensor.grad_scale) RequireTensor(ctx, name + " grad_scale", tensor.grad_scale, {1}, DType::kF32);
  }
  if (args.absmax) {
    RequireTensor(ctx, "LionW absmax", args.absmax, {static_cast<std::int64_t>(args.tensors.size())}, DType::kF32);
  }
  COAT_DISPATCH(LionW, ctx, args);
}

}  // namespace coat
