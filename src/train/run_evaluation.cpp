#include "train/run_evaluation.h"

#include <string_view>

#include "base/error.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

}  // namespace

RunEvaluation::RunEvaluation(const TrainConfig& config) {
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    evaluators_.emplace_back(config, config.evaluators[i], fmt::format("evaluators[{}]", i));
  }
}

Metrics RunEvaluation::Run(Engine& engine, Console& console) {
  Metrics metrics;
  for (Evaluator& evaluator : evaluators_) {
    console.Info(kLogger, fmt::format("Running evaluation for '{}'...", evaluator.label()));
    const Metrics of_evaluator = evaluator.Run(engine, [&](std::int64_t done) {
      console.ShowProgress(fmt::format("eval {}  batch {}/{}", evaluator.label(), done, evaluator.batch_count()));
    });
    console.Info(kLogger, fmt::format("{}\n{}", evaluator.label(), FormatMetrics(of_evaluator)));
    metrics.Merge(of_evaluator);
  }
  return metrics;
}

}  // namespace coat
