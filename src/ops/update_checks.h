#pragma once
// What the front doors of the optimizers' updates check alike.

#include <cstddef>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/tensor.h"
#include "numerics/adamw.h"

namespace coat {

/// Throws ArgumentError unless the learning rate is finite and both betas are in [0, 1).
void RequireLearningRateAndBetas(std::string_view op, double learning_rate, double beta1, double beta2);

/// The same, and throws ArgumentError unless eps >= 2^-126 in float32 and step >= 1.
void RequireAdamWSettings(std::string_view op, const AdamWSettings& settings);

/// Throws ArgumentError unless absmax is missing or [tensors] f32.
void RequireAbsMaxOfTensors(const Context& ctx, std::string_view op, TensorView absmax, std::size_t tensors);

namespace detail {
void RequireUpdated(const Context& ctx, const std::string& name, TensorView param, ConstTensorView grad,
                    ConstTensorView grad_scale, double weight_decay);
}  // namespace detail

/// Throws ArgumentError unless `tensor` (an AdamWTensor, LionWTensor or CoatAdamWTensor) has a f32 param, a plain
/// gradient of its shape, a scale [1] f32 or none, and a finite weight decay. `name` is "AdamW tensors[3]".
template <class Tensor>
void RequireUpdated(const Context& ctx, const std::string& name, const Tensor& tensor) {
  detail::RequireUpdated(ctx, name, tensor.param, tensor.grad, tensor.grad_scale, tensor.weight_decay);
}

}  // namespace coat
