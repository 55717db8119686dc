#include "nn/linear.h"

#include "ops/gemm.h"
#include "ops/quantize.h"

namespace coat {

namespace {

Shape Transposed(const Shape& shape) {
  return {shape[1], shape[0]};
}

}  // namespace

void Linear::Forward(Context& ctx, const LinearInput& x, TensorView y, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  ConstQuantizedView operand = x.value;
  if (x.value.format != recipe_->linear_input) {
    const QuantizedView made = scratch.Quantized("linear_input", x.value.shape(), recipe_->linear_input);
    if (recipe_->PerTensor()) AbsMax(ctx, {.x = x.value.codes, .absmax = x.absmax});
    Quantize(ctx, {.x = x.value.codes, .absmax = x.absmax, .y = made});
    operand = made;
  }
  Gemm(ctx, {.a = operand, .b = weight_.ForOutput(ctx, scratch), .d = y, .fast_accumulation = recipe_->fast_forward});
}

GradientOperands Linear::PrepareGradient(Context& ctx, ConstTensorView d_y, ConstTensorView absmax,
                                         Arena& scratch) const {
  if (!recipe_->Fp8()) return {AsPlain(d_y), {}};
  const QuantizedView plain = scratch.Quantized("gradient", d_y.shape(), gradient_format_);
  const QuantizedView transposed = scratch.Quantized("gradient_t", Transposed(d_y.shape()), recipe_->gradient_t);
  if (recipe_->PerTensor() && !absmax) {
    const TensorView own = scratch.Tensor("gradient.absmax", {1}, DType::kF32);
    AbsMax(ctx, {.x = d_y, .absmax = own});
    absmax = own;
  }
  Quantize(ctx, {.x = d_y, .absmax = absmax, .y = plain, .y_t = transposed});
  return {plain, transposed};
}

void Linear::BackwardInput(Context& ctx, const GradientOperands& d_y, TensorView d_x, Arena& scratch,
                           bool accumulate) const {
  const Arena::Scope scope(scratch);
  Gemm(ctx, {.a = d_y.plain,
             .b = weight_.ForInputGradient(ctx, scratch),
             .d = d_x,
             .layout = recipe_->Fp8() ? GemmLayout::kNT : GemmLayout::kNN,
             .accumulate = accumulate,
             .fast_accumulation = recipe_->fast_input_gradient});
}

void Linear::BackwardWeight(Context& ctx, const GradientOperands& d_y, const LinearInput& x, Arena& scratch) const {
  if (!recipe_->Fp8()) {
    Gemm(ctx, {.a = d_y.plain,
               .b = x.value,
               .d = weight_.parameter().local_grad,
               .layout = GemmLayout::kTN,
               .accumulate = weight_.accumulates()});
    return;
  }
  const Arena::Scope scope(scratch);
  const QuantizedView x_t = scratch.Quantized("linear_input_t", Transposed(x.value.shape()), recipe_->linear_input_t);
  if (x.value.format.scaling == Scaling::kNone) {
    Quantize(ctx, {.x = x.value.codes, .absmax = x.absmax, .y_t = x_t});
    BackwardWeight(ctx, d_y, x_t);
  } else {
    TransposeCodes(ctx, {.x = x.value.codes, .y = x_t.codes});
    BackwardWeight(ctx, d_y, {x_t.codes, x.value.scales, x_t.format});
  }
}

void Linear::BackwardWeight(Context& ctx, const GradientOperands& d_y, const ConstQuantizedView& x_t) const {
  Gemm(ctx, {.a = d_y.transposed,
             .b = x_t,
             .d = weight_.parameter().local_grad,
             .accumulate = weight_.accumulates(),
             .fast_accumulation = recipe_->fast_weight_gradient});
}

}  // namespace coat
