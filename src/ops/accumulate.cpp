#include "ops/accumulate.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void Accumulate(Context& ctx, const AccumulateArgs& args) {
  RequirePlain(ctx, "Accumulate x", args.x, args.x.shape());
  RequirePlain(ctx, "Accumulate y", args.y, args.x.shape());
  COAT_DISPATCH(Accumulate, ctx, args);
}

}  // namespace coat
