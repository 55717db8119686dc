#pragma once

#include <vector>

#include "config/config.h"
#include "train/console.h"
#include "train/engine.h"
#include "train/evaluation.h"
#include "train/metrics.h"

namespace coat {

/// The evaluators of a run, one after the other.
class RunEvaluation {
 public:
  /// Opens the data of all of them.
  explicit RunEvaluation(const TrainConfig& config);

  bool empty() const { return evaluators_.empty(); }
  /// Runs all of them, says so on the console, and returns their metrics.
  Metrics Run(Engine& engine, Console& console);

 private:
  std::vector<Evaluator> evaluators_;
};

}  // namespace coat
