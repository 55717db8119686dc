#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/dataset.h"
#include "data/evaluation_loader.h"
#include "evaluate/evaluator.h"
#include "output/metrics.h"

namespace coat {

/// A language-model evaluator: the mean loss of token files, one number a label.
///
/// A sequence's loss is the mean over its predicted positions, and a label's the mean over its sequences; one without
/// predicted positions, all masked, does not count. Metrics:
/// eval/{label}/CrossEntropyLoss and eval/{label}/Perplexity; with data.paths the label is the evaluator's, with
/// data.datasets those of the data sets. Labels of which no sequence counts are left out.
/// Source: OLMo's LM evaluator, which divides by all T - 1 positions where a label mask leaves fewer, and takes
/// 0 for a sequence that is masked whole.
class LmEvaluator final : public Evaluator {
 public:
  /// Opens the data; `key` is the configuration's, "evaluators[0]", for messages.
  LmEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator, const std::string& key);

  std::int64_t batch_count() const override { return loader_->batch_count(); }
  void CheckData(const Communicator& ranks) override;
  Metrics Run(LossModel& model, Communicator& ranks, const std::function<void(std::int64_t)>& progress) override;
  std::vector<std::string> Unmeasured() const override { return unmeasured_; }

 private:
  /// What a pass finds of each sequence: its loss, and its label's number plus 1; 0 and 0 for one that does not count,
  /// or is another rank's.
  struct Findings {
    explicit Findings(std::size_t sequences) : values(2 * sequences) {}
    double& loss(std::size_t sequence) { return values[sequence]; }
    double& label(std::size_t sequence) { return values[values.size() / 2 + sequence]; }
    std::vector<double> values;
  };
  void EvaluateBatch(LossModel& model, std::int64_t index, Findings* findings);
  /// The metrics of a pass; notes which labels have none.
  Metrics MetricsOf(Findings& findings);

  std::unique_ptr<MemMapDataset> dataset_;
  std::unique_ptr<EvaluationLoader> loader_;
  std::vector<std::int32_t> labels_;  // of a batch's tokens
  std::vector<std::string> unmeasured_;
};

}  // namespace coat
