#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "comm/communicator.h"
#include "nn/parameter.h"
#include "optim/optimizer.h"

namespace coat {

/// What OLMo logs of every parameter at the steps of metrics_log_interval: of the parameter itself, its gradient and
/// its float32 moments the smallest and the largest magnitude, the mean and the L2 norm.
///
/// As in OLMo, FP8 moments have none, and all are taken before clipping and before the update.
class ParameterMetrics {
 public:
  struct Metric {
    std::string name;  // "grad/transformer.wte.weight.min"; X.min, X.max, X.avg, X.norm for each X
    double value = 0.0;
  };

  /// All must stay valid. `ranks`: those that have parts of the parameters; null: nobody else.
  ParameterMetrics(std::span<const Parameter> parameters, const Optimizer& optimizer, Communicator* ranks = nullptr)
      : parameters_(parameters), optimizer_(&optimizer), ranks_(ranks) {}

  /// Lays out one result. Once, before anything else.
  void LayOut(Arena& metadata);
  /// Reads every parameter, gradient and moment once. Empty on kMeta.
  std::vector<Metric> Measure(Context& ctx) const;

 private:
  std::span<const Parameter> parameters_;
  const Optimizer* optimizer_;
  Communicator* ranks_;
  TensorView statistics_;  // [4] f32
};

}  // namespace coat
