#pragma once
// A few parameters with their memory, for the tests of this folder.

#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"

namespace coat {

class TestParameters {
 public:
  /// Adds a parameter of normal random numbers with a gradient of the same kind, times `grad_scale`.
  Parameter& Add(std::string name, Shape shape, ParameterKind kind = ParameterKind::kLinearWeight,
                 float grad_scale = 1.0f) {
    Parameter parameter;
    parameter.name = std::move(name);
    parameter.shape = shape;
    parameter.kind = kind;
    parameter.value = Normal(shape, 1.0f);
    parameter.grad = Normal(shape, grad_scale);
    parameters_.push_back(parameter);
    return parameters_.back();
  }
  /// New random gradients.
  void DrawGradients(float scale) {
    for (Parameter& parameter : parameters_) {
      for (std::int64_t i = 0; i < parameter.grad.elements(); ++i) {
        parameter.grad.As<float>()[i] = scale * normal_(generator_);
      }
    }
  }
  std::span<const Parameter> all() const { return parameters_; }

 private:
  TensorView Normal(Shape shape, float scale) {
    std::vector<float>& values = memory_.emplace_back(static_cast<std::size_t>(shape.elements()));
    for (float& value : values) value = scale * normal_(generator_);
    return {values.data(), shape, DType::kF32, DeviceKind::kCpu};
  }

  std::mt19937_64 generator_{42};
  std::normal_distribution<float> normal_;
  std::deque<std::vector<float>> memory_;
  std::vector<Parameter> parameters_;
};

}  // namespace coat
