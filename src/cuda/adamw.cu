#include "ops/adamw.h"

#include "cuda/kernel/update_elements.cuh"

namespace coat::cuda {

namespace {

/// 26 or 28 bytes an element.
struct AdamWRule {
  using Scalars = AdamWScalars;
  static constexpr int kMoments = 2;
  static constexpr int kResidentBlocks = 5;

  static __device__ void Update(const AdamWScalars& scalars, float& param, float (&moments)[2], float grad) {
    const AdamWElement next = AdamWUpdate(scalars, {param, moments[0], moments[1]}, grad);
    param = next.param;
    moments[0] = next.exp_avg;
    moments[1] = next.exp_avg_sq;
  }
  static std::array<TensorView, 2> MomentsOf(const AdamWTensor& tensor) { return {tensor.exp_avg, tensor.exp_avg_sq}; }
};

}  // namespace

void AdamW(Context& ctx, const AdamWArgs& args) {
  UpdateTensors<AdamWRule>(ctx, args);
}

}  // namespace coat::cuda
