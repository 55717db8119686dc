#pragma once
// What a step reports, under OLMo's names.

#include <cstdint>

#include "config/config.h"
#include "engine/engine.h"
#include "optim/clipping.h"
#include "output/metrics.h"

namespace coat {

/// Losses of a whole step, and over how many positions they were taken.
struct StepLosses {
  double cross_entropy = 0.0;  // mean over the predicted positions
  double z = 0.0;              // likewise, times its multiplier
};

/// Losses, gradient norm and learning rate; `skipped_steps` of the run so far, unless 0.
Metrics StepMetricsOf(const TrainConfig& config, const StepLosses& losses, const ClippingResult& gradients,
                      double learning_rate, std::int64_t skipped_steps);

/// At the steps of optimizer.metrics_log_interval, what OLMo logs of every parameter before the update; else nothing.
Metrics ParameterMetricsOf(const TrainConfig& config, std::int64_t step, const ClippingResult& gradients,
                           Engine& engine);

/// At the same steps, with optimizer.record_update_metrics, what OLMo logs of the update that comes next; else nothing.
/// `update` is its number, from 1 on.
Metrics UpdateMetricsOf(const TrainConfig& config, std::int64_t step, double learning_rate, std::int64_t update,
                        Engine& engine);

/// Peak memory of the process and, on a GPU, of the tensors, the largest of any rank: at steps 1 and 2 and every tenth,
/// as OLMo; else nothing.
Metrics SystemMetricsOf(std::int64_t step, const Engine& engine);

}  // namespace coat
