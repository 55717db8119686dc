#pragma once
// Evaluation of a checkpoint, without training.

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "engine/compute_device.h"
#include "output/console.h"
#include "output/metrics.h"

namespace coat {

/// What the evaluators of a configuration say of a checkpoint.
struct EvaluationReport {
  struct Evaluation {
    std::string label;
    EvaluatorType type = EvaluatorType::kLm;
    EvaluationRecipe recipe = EvaluationRecipe::kPlain;
    std::string precision;  // the recipe's name: "bf16", "coat_real"
    Metrics metrics;
  };
  std::string checkpoint;
  std::int64_t step = 0;  // of the checkpoint
  std::vector<Evaluation> evaluations;
  std::vector<std::string> details;  // of each request of the tasks, one object of JSON each

  /// One object: {"checkpoint", "step", "evaluations": [{"label", "type", "recipe", "precision", "metrics"}]},
  /// indented.
  std::string Json() const;
  /// A line a metric, for people.
  std::string Table() const;
};

/// Runs config.evaluators on the parameters of a checkpoint; says what it does on `console`. The result depends on
/// configuration, checkpoint, data and device alone.
///
/// Throws ConfigError if there is no evaluator, and as MakeEvaluator, OpenComputeDevice, RequireFp8EvaluationTokens,
/// EvaluationEngine and LoadParameters.
EvaluationReport Evaluate(const TrainConfig& config, const std::string& checkpoint, const DeviceOptions& device,
                          Console& console);

}  // namespace coat
