#include "nn/mlp.h"

#include "ops/quantize.h"
#include "ops/swiglu.h"

namespace coat {

void Mlp::LayOut(const FindParameter& find, Arena& weights) {
  down_.LayOut(find("ff_out.weight"), weights);
  up_gate_.LayOut(find("ff_proj.weight"), weights);
}

void Mlp::RefreshWeights(Context& ctx) {
  up_gate_.RefreshWeight(ctx);
  down_.RefreshWeight(ctx);
}

void Mlp::AccumulateGradients(bool accumulate) {
  up_gate_.AccumulateGradient(accumulate);
  down_.AccumulateGradient(accumulate);
}

Mlp::Saved Mlp::LayOutSaved(std::int64_t tokens, Arena& saved) const {
  Saved kept;
  kept.up_gate = saved.Quantized("up_gate", {tokens, 2 * config_.hidden_width}, recipe_->kept_output);
  if (recipe_->PerTensor() && !recipe_->KeepsGroups()) {
    kept.absmax = saved.Tensor("product.absmax", {1}, DType::kF32);
  }
  return kept;
}

void Mlp::Forward(Context& ctx, const LinearInput& input, TensorView branch, const Saved& saved, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const std::int64_t n = branch.shape()[0];
  const std::int64_t width = config_.hidden_width;
  if (recipe_->KeepsGroups()) {
    const QuantizedView product = scratch.Quantized("product", {n, width}, recipe_->linear_input);
    {
      const Arena::Scope wide(scratch);
      const TensorView up_gate = scratch.Tensor("up_gate", {n, 2 * width}, recipe_->compute);
      const TensorView absmax = scratch.Tensor("product.absmax", {1}, DType::kF32);
      up_gate_.Forward(ctx, input, up_gate, scratch);
      SwigluQuantizeForward(ctx,
                            {.up_gate = up_gate, .saved_up_gate = saved.up_gate, .product = product, .absmax = absmax});
    }
    down_.Forward(ctx, {product}, branch, scratch);
    return;
  }
  const TensorView product = scratch.Tensor("product", {n, width}, recipe_->compute);
  up_gate_.Forward(ctx, input, saved.up_gate.codes, scratch);
  SwigluForward(ctx, {.up_gate = saved.up_gate.codes, .product = product});
  down_.Forward(ctx, {AsPlain(product), saved.absmax}, branch, scratch);
}

void Mlp::Recompute(Context& ctx, const LinearInput& input, const Saved& saved, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const std::int64_t n = saved.up_gate.shape()[0];
  const std::int64_t width = config_.hidden_width;
  if (recipe_->KeepsGroups()) {
    const TensorView up_gate = scratch.Tensor("up_gate", {n, 2 * width}, recipe_->compute);
    up_gate_.Forward(ctx, input, up_gate, scratch);
    Quantize(ctx, {.x = up_gate, .y = saved.up_gate});
    return;
  }
  up_gate_.Forward(ctx, input, saved.up_gate.codes, scratch);
  if (!saved.absmax) return;
  const TensorView product = scratch.Tensor("product", {n, width}, recipe_->compute);
  SwigluForward(ctx, {.up_gate = saved.up_gate.codes, .product = product});
  AbsMax(ctx, {.x = product, .absmax = saved.absmax});
}

GradientOperands Mlp::BackwardThroughProduct(Context& ctx, const Saved& saved, const GradientOperands& d_branch,
                                             ConstTensorView d_product, Arena& scratch) const {
  const std::int64_t n = d_product.shape()[0];
  const std::int64_t width = config_.hidden_width;
  if (recipe_->KeepsGroups()) {
    const QuantizedView d_up_gate = scratch.Quantized("d_up_gate", {n, 2 * width}, recipe_->inner_gradient);
    const QuantizedView d_up_gate_t = scratch.Quantized("d_up_gate_t", {2 * width, n}, recipe_->gradient_t);
    const Arena::Scope scope(scratch);
    const QuantizedView product_t = scratch.Quantized("product_t", {width, n}, recipe_->linear_input_t);
    const TensorView absmax = scratch.Tensor("d_up_gate.absmax", {2}, DType::kF32);
    SwigluQuantizeBackward(ctx, {.up_gate = saved.up_gate,
                                 .d_product = d_product,
                                 .d_up_gate = d_up_gate,
                                 .d_up_gate_t = d_up_gate_t,
                                 .product_t = product_t,
                                 .absmax = absmax});
    down_.BackwardWeight(ctx, d_branch, product_t);
    return {d_up_gate, d_up_gate_t};
  }
  const TensorView d_up_gate = scratch.Tensor("d_up_gate", {n, 2 * width}, recipe_->compute);
  {
    const Arena::Scope scope(scratch);
    const TensorView product = scratch.Tensor("product", {n, width}, recipe_->compute);
    SwigluBackward(
        ctx, {.up_gate = saved.up_gate.codes, .d_product = d_product, .d_up_gate = d_up_gate, .product = product});
    down_.BackwardWeight(ctx, d_branch, {AsPlain(product), saved.absmax}, scratch);
  }
  return up_gate_.PrepareGradient(ctx, d_up_gate, {}, scratch);
}

GradientOperands Mlp::Backward(Context& ctx, const Saved& saved, const BranchGradient& gradient, Arena& scratch) const {
  const GradientOperands d_branch = down_.PrepareGradient(ctx, gradient.d_branch, gradient.absmax, scratch);
  const TensorView d_product =
      scratch.Tensor("d_product", {gradient.d_branch.shape()[0], config_.hidden_width}, recipe_->compute);
  down_.BackwardInput(ctx, d_branch, d_product, scratch);
  return BackwardThroughProduct(ctx, saved, d_branch, d_product, scratch);
}

}  // namespace coat
