#include "evaluate/run_evaluation.h"

#include "base/error.h"

namespace coat {

RunEvaluation::RunEvaluation(const TrainConfig& config, std::string_view logger)
    : logger_(logger), log_interval_(config.console_log_interval) {
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    evaluators_.push_back(MakeEvaluator(config, config.evaluators[i], fmt::format("evaluators[{}]", i)));
  }
}

void RunEvaluation::CheckData(const Communicator& ranks) {
  for (const std::unique_ptr<Evaluator>& evaluator : evaluators_) evaluator->CheckData(ranks);
}

Metrics RunEvaluation::Run(LossModel& model, Communicator& ranks, Console& console) {
  Metrics metrics;
  for (std::size_t i = 0; i < evaluators_.size(); ++i) metrics.Merge(RunOne(i, model, ranks, console));
  return metrics;
}

Metrics RunEvaluation::RunOne(std::size_t index, LossModel& model, Communicator& ranks, Console& console) {
  Evaluator& evaluator = *evaluators_.at(index);
  console.Info(logger_, fmt::format("Running evaluation for '{}'...", evaluator.label()));
  const Metrics metrics = evaluator.Run(model, ranks, [&](std::int64_t done) {
    console.ShowProgress(fmt::format("eval {}  batch {}/{}", evaluator.label(), done, evaluator.batch_count()));
    if (done % log_interval_ == 0 || done == evaluator.batch_count()) {
      console.Info(logger_, fmt::format("[eval_step={}/{}]", done, evaluator.batch_count()));
    }
  });
  if (metrics.items().empty()) {
    console.Warn(logger_, fmt::format("'{}' measures nothing: no token of its data has a label (data.label_mask_paths)",
                                      evaluator.label()));
  }
  for (const std::string& label : evaluator.Unmeasured()) {
    console.Warn(logger_, fmt::format("'{}' has no metrics of {}: no sequence of it is among its batches "
                                      "(subset_num_batches), or no token of those has a label (data.label_mask_paths)",
                                      evaluator.label(), label));
  }
  console.Info(logger_, fmt::format("{}\n{}", evaluator.label(), FormatMetrics(metrics)));
  return metrics;
}

}  // namespace coat
