#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/observer.h"
#include "checkpoint/trainer_state.h"
#include "config/config.h"
#include "data/batch.h"
#include "engine/engine.h"
#include "optim/clipping.h"
#include "output/console.h"
#include "output/metrics.h"
#include "train/run_schedule.h"
#include "train/step_metrics.h"

namespace coat {

/// What a step measures.
struct StepReport {
  Metrics step;              // losses, gradient norm, learning rate
  Metrics parameters;        // of every parameter, when they are due
  std::string failure = "";  // why the run is to end with a TrainingError; "" if it goes on
};

/// One optimizer step, in OLMo's order: micro-batches, norms and clipping, learning rate, metrics of the parameters,
/// update.
class TrainStep {
 public:
  /// References must stay valid. `overwrite`: the traces of module_outputs_save_steps that an earlier run left.
  TrainStep(const TrainConfig& config, bool overwrite, Engine& engine, Console& console);

  /// Trains on this rank's part of a batch that `state` counts already, in the micro-batches of MicroBatchOrder; keeps
  /// its losses and counts of updates. Losses are means over the positions of all ranks, and what the step does is the
  /// same on all of them.
  ///
  /// A step whose loss or gradients are not finite, or whose batch has no label at all, changes nothing and is counted;
  /// max_skipped_steps of them in a row are a failure.
  StepReport Run(const Batch& in_order, const RunSchedule& schedule, TrainerState& state);

 private:
  /// Of the batches of all ranks: positions with a label, and sequences that the instance filter masks.
  struct BatchCounts {
    double predicted = 0.0;
    double masked = 0.0;
  };
  BatchCounts CountsOfAllRanks(const Batch& batch, std::int64_t predicted) const;
  StepLosses ForwardBackward(const Batch& batch, double predicted, std::int64_t step);
  /// If `step` is one of module_outputs_save_steps: what sees the next micro-batch; on rank 0 it writes what it sees.
  std::unique_ptr<TensorObserver> WatchModules(std::int64_t step);
  Metrics MetricsOf(const BatchCounts& counts, const StepLosses& losses, const ClippingResult& gradients,
                    double learning_rate, const TrainerState& state) const;
  /// Returns StepReport::failure.
  std::string SkipUpdate(std::string_view cause, std::string_view advice, TrainerState& state);

  const TrainConfig& config_;
  bool overwrite_;
  Engine& engine_;
  Console& console_;
  std::vector<std::int32_t> labels_;
};

}  // namespace coat
