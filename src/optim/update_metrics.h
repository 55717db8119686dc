#pragma once

#include <span>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "comm/communicator.h"
#include "config/optimizer_config.h"
#include "nn/parameter.h"
#include "optim/optimizer.h"
#include "optim/parameter_metrics.h"

namespace coat {

/// What OLMo logs with record_update_metrics of the update that comes next, weight decay left out.
///
/// AdamW: of each parameter's update the L2 norm and the largest magnitude, "step/{name}.norm" and "step/{name}.max".
/// LionW: "update_cos_sim" of all parameters together, between the interpolated moment u and its signs:
/// sum |u| / max(|u| |sign u|, 1e-8). Updates are made by the optimizer's own ops on copies, so they are those of the
/// step to the bit. Source: OLMo's AdamW and LionW.
class UpdateMetrics {
 public:
  /// Of AdamW or LionW with float32 moments. References must stay valid. `ranks`: those that have parts of the
  /// parameters; null: nobody else.
  UpdateMetrics(const OptimizerConfig& config, std::span<const Parameter> parameters, const Optimizer& optimizer,
                Communicator* ranks = nullptr)
      : config_(config), parameters_(parameters), optimizer_(optimizer), ranks_(ranks) {}

  /// Before the update with these scalars; gradients must be finite. Takes copies of the largest parameter and its
  /// moments from `scratch`. Empty on kMeta.
  std::vector<ParameterMetrics::Metric> Measure(Context& ctx, const UpdateScalars& scalars, Arena& scratch) const;

 private:
  std::vector<ParameterMetrics::Metric> OfAdamW(Context& ctx, const UpdateScalars& scalars, Arena& scratch) const;
  std::vector<ParameterMetrics::Metric> OfLionW(Context& ctx, const UpdateScalars& scalars, Arena& scratch) const;
  /// The float32 states of all parameters, in their order.
  std::vector<ConstTensorView> States(const char* suffix) const;

  const OptimizerConfig& config_;
  std::span<const Parameter> parameters_;
  const Optimizer& optimizer_;
  Communicator* ranks_;
};

}  // namespace coat
