#include "ops/quantize.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

void AbsMax(Context& ctx, const AbsMaxArgs& args) {
  RequirePlain(ctx, "AbsMax x", args.x, args.x.shape());
  RequireTensor(ctx, "AbsMax absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(AbsMax, ctx, args);
}

void Quantize(Context& ctx, const QuantizeArgs& args) {
  RequireRank(ctx, "Quantize x", args.x, 2);
  const Shape shape = args.x.shape();
  RequirePlain(ctx, "Quantize x", args.x, shape);
  COAT_REQUIRE(args.y || args.y_t, "Quantize has neither y nor y_t");
  const std::initializer_list<Scaling> scaled = {Scaling::kTensor, Scaling::kGroup, Scaling::kBlock128};
  if (args.y) RequireQuantized(ctx, "Quantize y", args.y, shape, scaled);
  if (args.y_t) RequireQuantized(ctx, "Quantize y_t", args.y_t, {shape[1], shape[0]}, scaled);
  const bool per_tensor = (args.y && args.y.format.scaling == Scaling::kTensor) ||
                          (args.y_t && args.y_t.format.scaling == Scaling::kTensor);
  if (per_tensor) {
    RequireTensor(ctx, "Quantize absmax", args.absmax, {1}, DType::kF32);
  } else {
    COAT_REQUIRE(!args.absmax, "Quantize absmax is given, but no output is scaled per tensor");
  }
  COAT_DISPATCH(Quantize, ctx, args);
}

void Dequantize(Context& ctx, const DequantizeArgs& args) {
  RequireRank(ctx, "Dequantize x", args.x.codes, 2);
  RequireQuantized(ctx, "Dequantize x", args.x, args.x.shape(),
                   {Scaling::kTensor, Scaling::kGroup, Scaling::kBlock128});
  RequirePlain(ctx, "Dequantize y", args.y, args.x.shape());
  COAT_DISPATCH(Dequantize, ctx, args);
}

void TransposeCodes(Context& ctx, const TransposeCodesArgs& args) {
  RequireRank(ctx, "TransposeCodes x", args.x, 2);
  COAT_REQUIRE(IsFp8(args.x.dtype()), "TransposeCodes x is {}; expected e4m3 or e5m2", args.x.ToString());
  RequireTensor(ctx, "TransposeCodes y", args.y, {args.x.shape()[1], args.x.shape()[0]}, args.x.dtype());
  COAT_DISPATCH(TransposeCodes, ctx, args);
}

}  // namespace coat
