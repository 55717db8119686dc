#include "ops/lion.h"

#include "cuda/kernel/update_elements.cuh"

namespace coat::cuda {

namespace {

/// 18 or 20 bytes an element.
struct LionWRule {
  using Scalars = LionWScalars;
  static constexpr int kMoments = 1;
  static constexpr int kResidentBlocks = 8;

  static __device__ void Update(const LionWScalars& scalars, float& param, float (&moments)[1], float grad) {
    const LionWElement next = LionWUpdate(scalars, {param, moments[0]}, grad);
    param = next.param;
    moments[0] = next.exp_avg;
  }
  static std::array<TensorView, 1> MomentsOf(const LionWTensor& tensor) { return {tensor.exp_avg}; }
};

}  // namespace

void LionW(Context& ctx, const LionWArgs& args) {
  UpdateTensors<LionWRule>(ctx, args);
}

}  // namespace coat::cuda
