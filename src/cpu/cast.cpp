#include "ops/cast.h"

#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kElements = 1 << 14;  // elements a task

}  // namespace

void Cast(Context& ctx, const CastArgs& args) {
  VisitPlain(args.x.dtype(), [&]<class X>() {
    VisitPlain(args.y.dtype(), [&]<class Y>() {
      ctx.ParallelBlocks(args.x.elements(), kElements, [&](std::int64_t begin, std::int64_t end) {
        const X* x = args.x.As<X>();
        Y* y = args.y.As<Y>();
        if (args.accumulate) {
          for (std::int64_t i = begin; i < end; ++i) y[i] = RoundTo<Y>(ToFloat(y[i]) + ToFloat(x[i]));
        } else {
          for (std::int64_t i = begin; i < end; ++i) y[i] = RoundTo<Y>(ToFloat(x[i]));
        }
      });
    });
  });
}

}  // namespace coat::cpu
