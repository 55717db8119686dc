#include "ops/coat_adamw.h"

#include <fmt/core.h>

#include <string>

#include "base/divide.h"
#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/update_checks.h"

namespace coat {

namespace {

void RequireMoment(const Context& ctx, const std::string& argument, const ExpandedMoment& moment, Shape shape,
                   std::int64_t group) {
  COAT_REQUIRE(static_cast<bool>(moment.codes) && IsFp8(moment.codes.dtype()), "{} codes are {}; expected {} fp8",
               argument, ConstTensorView(moment.codes).ToString(), shape.ToString());
  RequireTensor(ctx, argument + " codes", moment.codes, shape, moment.codes.dtype());
  const Shape groups = {DivideUp(shape.elements(), group)};
  RequireTensor(ctx, argument + " absmax", moment.absmax, groups, DType::kF32);
  if (moment.exponent) RequireTensor(ctx, argument + " exponent", moment.exponent, groups, DType::kF32);
}

/// The same storage as the first tensor's.
void RequireSameFormat(const std::string& argument, const ExpandedMoment& moment, const ExpandedMoment& first) {
  COAT_REQUIRE(moment.codes.dtype() == first.codes.dtype(), "{} codes are {}; expected {} as in tensors[0]", argument,
               NameOf(moment.codes.dtype()), NameOf(first.codes.dtype()));
  COAT_REQUIRE(static_cast<bool>(moment.exponent) == static_cast<bool>(first.exponent),
               "{} is {}; expected the opposite, as in tensors[0]", argument,
               moment.exponent ? "expanded" : "not expanded");
}

}  // namespace

void CoatAdamW(Context& ctx, const CoatAdamWArgs& args) {
  COAT_REQUIRE(args.group >= 32 && args.group <= 256 && args.group % 32 == 0,
               "CoatAdamW group is {}; expected a multiple of 32 from 32 to 256", args.group);
  COAT_REQUIRE(args.expand_min >= 1 && args.expand_min <= 1 << 20, "CoatAdamW expand_min is {}; expected 1 to {}",
               args.expand_min, 1 << 20);
  RequireAdamWSettings("CoatAdamW", args.settings);
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const CoatAdamWTensor& tensor = args.tensors[i];
    const std::string name = fmt::format("CoatAdamW tensors[{}]", i);
    RequireUpdated(ctx, name, tensor);
    RequireMoment(ctx, name + " exp_avg", tensor.exp_avg, tensor.param.shape(), args.group);
    RequireMoment(ctx, name + " exp_avg_sq", tensor.exp_avg_sq, tensor.param.shape(), args.group);
    RequireSameFormat(name + " exp_avg", tensor.exp_avg, args.tensors[0].exp_avg);
    RequireSameFormat(name + " exp_avg_sq", tensor.exp_avg_sq, args.tensors[0].exp_avg_sq);
  }
  RequireAbsMaxOfTensors(ctx, "CoatAdamW", args.absmax, args.tensors.size());
  COAT_DISPATCH(CoatAdamW, ctx, args);
}

}  // namespace coat
