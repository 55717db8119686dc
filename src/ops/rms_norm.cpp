#include "ops/rms_norm.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// What all three have: rows of `x`, which must not be empty, their rstd and the weight of their columns.
void RequireRows(const Context& ctx, std::string_view op, std::string_view name, ConstTensorView x,
                 ConstTensorView weight, ConstTensorView rstd) {
  const std::string prefix = std::string(op) + " ";
  const std::string x_name = prefix + std::string(name);
  RequireRank(ctx, x_name, x, 2);
  RequirePlain(ctx, x_name, x, x.shape());
  COAT_REQUIRE(x.shape()[1] > 0, "{} is {}; a row must not be empty", x_name, x.shape().ToString());
  RequireTensor(ctx, prefix + "weight", weight, {x.shape()[1]}, DType::kF32);
  RequireTensor(ctx, prefix + "rstd", rstd, {x.shape()[0]}, DType::kF32);
}

void RequireNarrowScales(std::string_view argument, const ConstQuantizedView& x) {
  COAT_REQUIRE(x.format.scaling != Scaling::kGroup || x.format.scale_dtype == DType::kBF16,
               "{} is {}; expected bf16 scales", argument, x.ToString());
}

}  // namespace

void RmsNorm(Context& ctx, const RmsNormArgs& args) {
  RequireRows(ctx, "RmsNorm", "x", args.x, args.weight, args.rstd);
  RequireTensor(ctx, "RmsNorm y", args.y, args.x.shape(), args.x.dtype());
  COAT_DISPATCH(RmsNorm, ctx, args);
}

void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args) {
  RequireRows(ctx, "AddRmsNorm", "x", args.x, args.weight, args.rstd);
  const Shape shape = args.x.shape();
  RequireTensor(ctx, "AddRmsNorm branch", args.branch, shape, args.x.dtype());
  RequireTensor(ctx, "AddRmsNorm y", args.y, shape, args.x.dtype());
  if (args.kept) {
    RequireQuantized(ctx, "AddRmsNorm kept", args.kept, shape, {Scaling::kGroup});
    RequireNarrowScales("AddRmsNorm kept", args.kept);
  }
  if (args.absmax) RequireTensor(ctx, "AddRmsNorm absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(AddRmsNorm, ctx, args);
}

void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args) {
  RequireRows(ctx, "RmsNormBackward", "d_y", args.d_y, args.weight, args.rstd);
  const Shape shape = args.d_y.shape();
  const DType dtype = args.d_y.dtype();
  RequireQuantized(ctx, "RmsNormBackward x", args.x, shape, {Scaling::kNone, Scaling::kGroup});
  RequireNarrowScales("RmsNormBackward x", args.x);
  if (args.x.format.scaling == Scaling::kNone) RequireTensor(ctx, "RmsNormBackward x", args.x.codes, shape, dtype);
  RequireTensor(ctx, "RmsNormBackward d_x", args.d_x, shape, dtype);
  RequirePlain(ctx, "RmsNormBackward d_weight", args.d_weight, {shape[1]});
  if (args.absmax) RequireTensor(ctx, "RmsNormBackward absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(RmsNormBackward, ctx, args);
}

}  // namespace coat
