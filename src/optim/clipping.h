#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "comm/communicator.h"
#include "nn/parameter.h"
#include "optim/optimizer.h"

namespace coat {

/// What gradients are clipped to in a step: nothing, a norm of all together, or a ratio for each parameter, which goes
/// before the norm. Warm-up factors are in these values already.
struct ClippingLimits {
  std::optional<double> max_norm;
  std::optional<double> max_norm_ratio;
};

/// What the gradients of a step were, before clipping.
struct ClippingResult {
  double total_norm = 0.0;  // of all parameters together; not finite if any gradient is not, or if it is beyond float32
  std::vector<double> norms;     // of each parameter, in their order
  double clipping_rate = 0.0;    // share of the parameters whose gradient is scaled down
  std::vector<double> averages;  // moving averages of the clipped norms, this step's included; with max_norm_ratio only
  std::string first_non_finite;  // the first parameter whose gradient is not finite; empty if all are
};

/// Gradient norms and clipping coefficients. The update multiplies by the coefficients, so gradients are read once
/// less.
///
/// The formulas are those of ops/clip.h. Source: OLMo's Optimizer.clip_grads_and_collect_metrics.
class GradientClipping {
 public:
  /// `beta` is the larger of the optimizer's betas. `parameters` must stay valid, and so must `ranks`: those that have
  /// parts of the gradients; null: nobody else.
  GradientClipping(std::span<const Parameter> parameters, double beta, Communicator* ranks = nullptr);

  /// Lays out norms, coefficients and averages: a few floats a parameter.
  void LayOut(Arena& metadata);
  /// Norms of the gradients, and coefficients for the update. When a gradient or the total norm is not finite,
  /// coefficients and averages are left as they were: the step is to be skipped. On kMeta it only checks the gradients.
  ClippingResult Measure(Context& ctx, const ClippingLimits& limits);
  /// [P] f32, what UpdateScalars::grad_scale wants.
  ConstTensorView coefficients() const { return coefficients_; }
  /// Visits "grad_norm_exp_avg" [P] f32, which a checkpoint keeps (0: no average yet).
  void ForEachState(const std::function<void(const StateTensor&)>& visit) const;

 private:
  /// Norms of the parts become those of the whole gradients: the squares are summed in double, the root is rounded
  /// once.
  void CombineNorms(const Context& ctx);

  std::span<const Parameter> parameters_;
  double beta_;
  Communicator* ranks_;
  TensorView norms_, total_norm_, coefficients_, averages_;
};

}  // namespace coat
