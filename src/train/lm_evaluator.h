#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/dataset.h"
#include "data/evaluation_loader.h"
#include "train/evaluator.h"
#include "train/metrics.h"

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
  Metrics Run(LossModel& model, const std::function<void(std::int64_t)>& progress) override;

 private:
  std::unique_ptr<MemMapDataset> dataset_;
  std::unique_ptr<EvaluationLoader> loader_;
};

}  // namespace coat
