#include "train/step_metrics.h"

#include <sys/resource.h>

#include <cmath>
#include <optional>
#include <vector>

namespace coat {

namespace {

double PeakMemoryMegabytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024.0 / 1e6;
}

bool AreParameterMetricsDue(const TrainConfig& config, std::int64_t step) {
  const std::optional<std::int64_t>& interval = config.optimizer.metrics_log_interval;
  return interval && step % *interval == 0;
}

}  // namespace

Metrics StepMetricsOf(const TrainConfig& config, const StepLosses& losses, const ClippingResult& gradients,
                      double learning_rate, std::int64_t skipped_steps) {
  Metrics metrics;
  metrics.Set("optim/total_grad_norm", gradients.total_norm);
  metrics.Set("optim/learning_rate_group0", learning_rate);
  metrics.Set("optim/learning_rate_group1", learning_rate);
  metrics.Set("train/CrossEntropyLoss", losses.cross_entropy);
  metrics.Set("train/Perplexity", std::exp(losses.cross_entropy));
  if (config.softmax_auxiliary_loss) metrics.Set("train/ZLoss", losses.z);
  if (skipped_steps > 0) metrics.Set("train/skipped_steps", static_cast<double>(skipped_steps));
  return metrics;
}

Metrics ParameterMetricsOf(const TrainConfig& config, std::int64_t step, const ClippingResult& gradients,
                           Engine& engine) {
  Metrics metrics;
  if (!AreParameterMetricsDue(config, step)) return metrics;
  metrics.Set("optim/clipping_rate", gradients.clipping_rate);
  for (std::size_t p = 0; p < gradients.averages.size(); ++p) {
    metrics.Set("optim/grad_norm_exp_avg/" + engine.model().parameters()[p].name, gradients.averages[p]);
  }
  for (const ParameterMetrics::Metric& metric : engine.MeasureParameters()) {
    metrics.Set("optim/" + metric.name, metric.value);
  }
  return metrics;
}

Metrics UpdateMetricsOf(const TrainConfig& config, std::int64_t step, double learning_rate, std::int64_t update,
                        Engine& engine) {
  Metrics metrics;
  if (!AreParameterMetricsDue(config, step)) return metrics;
  for (const ParameterMetrics::Metric& metric : engine.MeasureUpdate(learning_rate, update)) {
    metrics.Set("optim/" + metric.name, metric.value);
  }
  return metrics;
}

Metrics SystemMetricsOf(std::int64_t step, const Engine& engine) {
  Metrics metrics;
  if (step >= 3 && step % 10 != 0) return metrics;
  std::vector<double> megabytes = {PeakMemoryMegabytes()};
  if (engine.context().backend()) {
    const std::int64_t bytes = engine.Used().Total() + engine.context().workspace_bytes();
    megabytes.push_back(static_cast<double>(bytes) / 1e6);
  }
  engine.ranks().AllReduce(megabytes, Reduction::kMax);
  metrics.Set("System/Peak CPU Memory (MB)", megabytes[0]);
  if (megabytes.size() > 1) metrics.Set("System/Peak GPU Memory (MB)", megabytes[1]);
  return metrics;
}

}  // namespace coat
