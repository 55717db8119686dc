#include "ops/statistics.h"

#include <fmt/core.h>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void L2Norms(Context& ctx, const L2NormsArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    RequirePlain(ctx, fmt::format("L2Norms tensors[{}]", i), args.tensors[i], args.tensors[i].shape());
  }
  RequireTensor(ctx, "L2Norms norms", args.norms, {static_cast<std::int64_t>(args.tensors.size())}, DType::kF32);
  COAT_DISPATCH(L2Norms, ctx, args);
}

void Statistics(Context& ctx, const StatisticsArgs& args) {
  RequirePlain(ctx, "Statistics x", args.x, args.x.shape());
  COAT_REQUIRE(args.x.elements() > 0, "Statistics x is {}; expected at least one element", args.x.ToString());
  RequireTensor(ctx, "Statistics statistics", args.statistics, {4}, DType::kF32);
  COAT_DISPATCH(Statistics, ctx, args);
}

}  // namespace coat
