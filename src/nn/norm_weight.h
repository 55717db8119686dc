#pragma once

#include "nn/parameter.h"

namespace coat {

/// The weight of an RMSNorm. Its float32 master is read as it is, so nothing is made of it. Owns nothing.
class NormWeight {
 public:
  /// Takes the parameter [D], whose value (or gathered operand, f32) and gradient must stay where they are.
  void LayOut(const Parameter& parameter) { parameter_ = parameter; }
  /// Whether backward adds to the parameter's gradient (the default) or writes it, as the first of a step does.
  void AccumulateGradient(bool accumulate) { accumulate_ = accumulate; }

  ConstTensorView value() const { return parameter_.Whole(); }
  TensorView grad() const { return parameter_.local_grad; }
  bool accumulates() const { return accumulate_; }

 private:
  Parameter parameter_;
  bool accumulate_ = true;
};

}  // namespace coat
