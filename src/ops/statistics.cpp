#include "ops/statistics.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void L2Norm(Context& ctx, const L2NormArgs& args) {
  RequirePlain(ctx, "L2Norm x", args.x, args.x.shape());
  RequireTensor(ctx, "L2Norm norm", args.norm, {1}, DType::kF32);
  COAT_DISPATCH(L2Norm, ctx, args);
}

void Statistics(Context& ctx, const StatisticsArgs& args) {
  RequirePlain(ctx, "Statistics x", args.x, args.x.shape());
  COAT_REQUIRE(args.x.elements() > 0, "Statistics x is {}; expected at least one element", args.x.ToString());
  RequireTensor(ctx, "Statistics statistics", args.statistics, {4}, DType::kF32);
  COAT_DISPATCH(Statistics, ctx, args);
}

}  // namespace coat
