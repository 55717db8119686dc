#include "nn/residual.h"

#include "ops/quantize.h"

namespace coat {

ResidualStream StartStream(Context& ctx, TensorView x, bool measured, Arena& scratch) {
  ResidualStream stream = {.x = x, .branch = scratch.Tensor("branch", x.shape(), x.dtype())};
  if (measured) {
    stream.absmax = scratch.Tensor("x.absmax", {1}, DType::kF32);
    AbsMax(ctx, {.x = x, .absmax = stream.absmax});
  }
  return stream;
}

}  // namespace coat
