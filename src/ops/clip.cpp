#include "ops/clip.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void TotalNorm(Context& ctx, const TotalNormArgs& args) {
  RequireRank(ctx, "TotalNorm norms", args.norms, 1);
  RequireTensor(ctx, "TotalNorm norms", args.norms, args.norms.shape(), DType::kF32);
  RequireTensor(ctx, "TotalNorm total_norm", args.total_norm, {1}, DType::kF32);
  COAT_DISPATCH(TotalNorm, ctx, args);
}

void ClipCoefficients(Context& ctx, const ClipCoefficientsArgs& args) {
  RequireTensor(ctx, "ClipCoefficients total_norm", args.total_norm, {1}, DType::kF32);
  RequireRank(ctx, "ClipCoefficients coefficients", args.coefficients, 1);
  RequireTensor(ctx, "ClipCoefficients coefficients", args.coefficients, args.coefficients.shape(), DType::kF32);
  COAT_REQUIRE(args.max_norm > 0.0f, "ClipCoefficients max_norm is {}; expected a number above 0", args.max_norm);
  COAT_DISPATCH(ClipCoefficients, ctx, args);
}

void AdaptiveClipCoefficients(Context& ctx, const AdaptiveClipCoefficientsArgs& args) {
  const Shape shape = args.norms.shape();
  RequireRank(ctx, "AdaptiveClipCoefficients norms", args.norms, 1);
  RequireTensor(ctx, "AdaptiveClipCoefficients norms", args.norms, shape, DType::kF32);
  RequireTensor(ctx, "AdaptiveClipCoefficients norm_averages", args.norm_averages, shape, DType::kF32);
  RequireTensor(ctx, "AdaptiveClipCoefficients coefficients", args.coefficients, shape, DType::kF32);
  COAT_REQUIRE(args.max_norm_ratio > 0.0f, "AdaptiveClipCoefficients max_norm_ratio is {}; expected a number above 0",
               args.max_norm_ratio);
  COAT_REQUIRE(args.beta >= 0.0f && args.beta < 1.0f,
               "AdaptiveClipCoefficients beta is {}; expected a number from 0 to below 1", args.beta);
  COAT_DISPATCH(AdaptiveClipCoefficients, ctx, args);
}

}  // namespace coat
