#include "ops/adamw.h"

#include "cpu/absmax.h"
#include "cpu/lanes.h"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kElements = 1 << 14;  // elements a task

// The scalars come by value: a reference could alias what is written, and the loop would not vectorize.
template <class T>
void UpdateElements(AdamWScalars scalars, float grad_scale, bool selective, std::int64_t count,
                    const T* __restrict grads, float* __restrict param, float* __restrict exp_avg,
                    float* __restrict exp_avg_sq) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float grad = ToFloat(grads[i]) * grad_scale;
    const AdamWElement old = {param[i], exp_avg[i], exp_avg_sq[i]};
    const AdamWElement next = AdamWUpdate(scalars, old, grad);
    const bool keep = selective & (grad == 0.0f);
    param[i] = keep ? old.param : next.param;
    exp_avg[i] = keep ? old.exp_avg : next.exp_avg;
    exp_avg_sq[i] = keep ? old.exp_avg_sq : next.exp_avg_sq;
  }
}

}  // namespace

void AdamW(Context& ctx, const AdamWArgs& args) {
  for (std::size_t t = 0; t < args.tensors.size(); ++t) {
    const AdamWTensor& tensor = args.tensors[t];
    std::optional<SharedAbsMax> absmax = AbsMaxOfTensor(args.absmax, t);
    const AdamWScalars scalars(args.settings, tensor.weight_decay);
    const float grad_scale = tensor.grad_scale ? *tensor.grad_scale.As<float>() : 1.0f;
    VisitPlain(tensor.grad.dtype(), [&]<class T>() {
      ctx.ParallelBlocks(tensor.param.elements(), kElements, [&](std::int64_t begin, std::int64_t end) {
        UpdateElements(scalars, grad_scale, args.selective, end - begin, tensor.grad.As<T>() + begin,
                       tensor.param.As<float>() + begin, tensor.exp_avg.As<float>() + begin,
                       tensor.exp_avg_sq.As<float>() + begin);
        const float* param = tensor.param.As<float>() + begin;
        if (absmax) absmax->Report(LaneAbsMax(end - begin, 0.0f, [=](std::int64_t i) { return param[i]; }));
      });
    });
  }
}

}  // namespace coat::cpu
