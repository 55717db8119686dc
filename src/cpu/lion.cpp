#include "ops/lion.h"

#include "cpu/absmax.h"
#include "cpu/lanes.h"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kElements = 1 << 14;  // elements a task

// The scalars come by value: a reference could alias what is written, and the loop would not vectorize.
template <class T>
void UpdateElements(LionWScalars scalars, float grad_scale, bool selective, std::int64_t count,
                    const T* __restrict grads, float* __restrict param, float* __restrict exp_avg) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float grad = ToFloat(grads[i]) * grad_scale;
    const LionWElement old = {param[i], exp_avg[i]};
    const LionWElement next = LionWUpdate(scalars, old, grad);
    const bool keep = selective & (grad == 0.0f);
    param[i] = keep ? old.param : next.param;
    exp_avg[i] = keep ? old.exp_avg : next.exp_avg;
  }
}

}  // namespace

void LionW(Context& ctx, const LionWArgs& args) {
  for (std::size_t t = 0; t < args.tensors.size(); ++t) {
    const LionWTensor& tensor = args.tensors[t];
    std::optional<SharedAbsMax> absmax = AbsMaxOfTensor(args.absmax, t);
    const LionWScalars scalars(args.settings, tensor.weight_decay);
    const float grad_scale = tensor.grad_scale ? *tensor.grad_scale.As<float>() : 1.0f;
    VisitPlain(tensor.grad.dtype(), [&]<class T>() {
      ctx.ParallelBlocks(tensor.param.elements(), kElements, [&](std::int64_t begin, std::int64_t end) {
        UpdateElements(scalars, grad_scale, args.selective, end - begin, tensor.grad.As<T>() + begin,
                       tensor.param.As<float>() + begin, tensor.exp_avg.As<float>() + begin);
        const float* param = tensor.param.As<float>() + begin;
        if (absmax) absmax->Report(LaneAbsMax(end - begin, 0.0f, [=](std::int64_t i) { return param[i]; }));
      });
    });
  }
}

}  // namespace coat::cpu
