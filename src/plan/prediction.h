#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "plan/gpu.h"
#include "plan/micro_batch_time.h"
#include "plan/network.h"
#include "plan/work.h"

namespace coat {

/// What a prediction is asked for.
struct Cluster {
  int ranks = 1;  // one on each GPU
  Gpu gpu;
  Interconnect interconnect;
};

/// How much memory and time a run is predicted to take on one GPU of many. An estimate: docs/scaling.md says what of it
/// is measured. Times are in seconds.
struct Prediction {
  // Memory of the rank that has most, in bytes.
  double planned = 0.0;  // the plan's total
  double beside = 0.0;   // what the driver and libraries took beside the plan, measured on one GPU and on two
  bool Fits(const Gpu& gpu) const { return planned + beside <= gpu.memory; }

  // A step of a rank.
  std::int64_t sequences = 0;  // of its share of the batch
  std::int64_t micro_batches = 0;
  std::int64_t micro_batch = 0;     // sequences of each but, perhaps, the last
  WorkTime work;                    // what layers of one micro-batch compute
  MicroBatchTime time;              // of a whole micro-batch: the first, or those after it if there are any
  double micro_batches_time = 0.0;  // of all
  double weights = 0.0;             // once a step: operands that are kept ...
  double gather = 0.0;              // ... gathering them, and largest magnitudes ...
  double reduce = 0.0;              // ... summing gradients that micro-batches leave, and norms of parts ...
  double norms = 0.0;               // ... norms ...
  double update = 0.0;              // ... and the update.
  double compute = 0.0;             // of the step: all but waiting for others

  double Step() const { return micro_batches_time + weights + gather + reduce + norms + update; }
  double tokens = 0.0;  // of a rank in a step
  double TokensPerSecond() const { return tokens / Step(); }
};

/// Throws ConfigError for what the model does not know (precision: fp32), for hybrid replicas that do not divide the
/// ranks and for a batch that ranks cannot share; UsageError where the interconnect has no network between nodes and
/// there are several.
Prediction Predict(const TrainConfig& config, const Cluster& cluster);

/// The prediction as a table to print, with what bounds the speed.
std::string PredictionTable(const TrainConfig& config, const Cluster& cluster);
/// PlanJson (plan/memory_table.h) with the prediction as one more member, "prediction".
std::string PredictionJson(const TrainConfig& config, const Cluster& cluster);

}  // namespace coat
