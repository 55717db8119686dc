#include "ops/fill.h"

#include <cmath>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void Fill(Context& ctx, const FillArgs& args) {
  RequirePlain(ctx, "Fill x", args.x, args.x.shape());
  COAT_DISPATCH(Fill, ctx, args);
}

void FillNormal(Context& ctx, const FillNormalArgs& args) {
  RequireTensor(ctx, "FillNormal x", args.x, args.x.shape(), DType::kF32);
  COAT_REQUIRE(args.offset >= 0, "FillNormal offset is {}; expected 0 or more", args.offset);
  COAT_REQUIRE(std::isfinite(args.std) && args.std >= 0.0f, "FillNormal std is {}; expected a finite number from 0",
               args.std);
  COAT_REQUIRE(std::isfinite(args.cutoff) && args.cutoff >= 0.0f,
               "FillNormal cutoff is {}; expected a finite number from 0", args.cutoff);
  COAT_DISPATCH(FillNormal, ctx, args);
}

}  // namespace coat
