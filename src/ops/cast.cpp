#include "ops/cast.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void Cast(Context& ctx, const CastArgs& args) {
  RequirePlain(ctx, "Cast x", args.x, args.x.shape());
  RequirePlain(ctx, "Cast y", args.y, args.x.shape());
  COAT_DISPATCH(Cast, ctx, args);
}

}  // namespace coat
