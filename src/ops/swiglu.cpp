#include "ops/swiglu.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// [N, 2F] -> [N, F].
Shape HalfOf(std::string_view argument, const Shape& shape) {
  COAT_REQUIRE(shape.rank() == 2 && shape[1] % 2 == 0, "{} is {}; expected [N, 2F]", argument, shape.ToString());
  return {shape[0], shape[1] / 2};
}

}  // namespace

void SwigluForward(Context& ctx, const SwigluForwardArgs& args) {
  RequirePlain(ctx, "SwigluForward up_gate", args.up_gate, args.up_gate.shape());
  const Shape half = HalfOf("SwigluForward up_gate", args.up_gate.shape());
  RequireTensor(ctx, "SwigluForward product", args.product, half, args.up_gate.dtype());
  COAT_DISPATCH(SwigluForward, ctx, args);
}

void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args) {
  const Shape full = args.up_gate.shape();
  RequirePlain(ctx, "SwigluBackward up_gate", args.up_gate, full);
  const Shape half = HalfOf("SwigluBackward up_gate", full);
  const DType dtype = args.up_gate.dtype();
  RequireTensor(ctx, "SwigluBackward d_product", args.d_product, half, dtype);
  RequireTensor(ctx, "SwigluBackward d_up_gate", args.d_up_gate, full, dtype);
  RequireTensor(ctx, "SwigluBackward product", args.product, half, dtype);
  COAT_DISPATCH(SwigluBackward, ctx, args);
}

void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args) {
  const Shape full = args.up_gate.shape();
  RequirePlain(ctx, "SwigluQuantizeForward up_gate", args.up_gate, full);
  const Shape half = HalfOf("SwigluQuantizeForward up_gate", full);
  RequireQuantized(ctx, "SwigluQuantizeForward saved_up_gate", args.saved_up_gate, full, {Scaling::kGroup});
  COAT_REQUIRE(args.saved_up_gate.format.scale_dtype == DType::kBF16 && half[1] % args.saved_up_gate.format.group == 0,
               "SwigluQuantizeForward saved_up_gate is {}; expected bf16 scales and groups that divide {}",
               ConstQuantizedView(args.saved_up_gate).ToString(), half[1]);
  RequireQuantized(ctx, "SwigluQuantizeForward product", args.product, half, {Scaling::kTensor});
  RequireTensor(ctx, "SwigluQuantizeForward absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(SwigluQuantizeForward, ctx, args);
}

void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args) {
  const Shape full = args.up_gate.shape();
  RequireQuantized(ctx, "SwigluQuantizeBackward up_gate", args.up_gate, full, {Scaling::kGroup});
  const Shape half = HalfOf("SwigluQuantizeBackward up_gate", full);
  COAT_REQUIRE(args.up_gate.format.scale_dtype == DType::kBF16 && half[1] % args.up_gate.format.group == 0,
               "SwigluQuantizeBackward up_gate is {}; expected bf16 scales and groups that divide {}",
               args.up_gate.ToString(), half[1]);
  RequirePlain(ctx, "SwigluQuantizeBackward d_product", args.d_product, half);
  RequireQuantized(ctx, "SwigluQuantizeBackward d_up_gate", args.d_up_gate, full, {Scaling::kTensor});
  RequireQuantized(ctx, "SwigluQuantizeBackward d_up_gate_t", args.d_up_gate_t, {full[1], full[0]}, {Scaling::kTensor});
  RequireQuantized(ctx, "SwigluQuantizeBackward product_t", args.product_t, {half[1], half[0]}, {Scaling::kTensor});
  RequireTensor(ctx, "SwigluQuantizeBackward absmax", args.absmax, {2}, DType::kF32);
  COAT_DISPATCH(SwigluQuantizeBackward, ctx, args);
}

}  // namespace coat
