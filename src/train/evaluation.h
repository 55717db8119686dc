#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/dataset.h"
#include "data/evaluation_loader.h"
#include "train/engine.h"
#include "train/metrics.h"

namespace coat {

/// A language-model evaluator: the mean loss of token files in the plain recipe, one number a label.
///
/// A sequence's loss is the mean over its predicted positions, and a label's the mean over its sequences; one without
/// predicted positions, all masked, does not count. Metrics:
/// eval/{label}/CrossEntropyLoss and eval/{label}/Perplexity; with data.paths the label is the evaluator's, with
/// data.datasets those of the data sets. Labels of which no sequence counts are left out.
/// Source: OLMo's LM evaluator, which divides by all T - 1 positions where a label mask leaves fewer, and takes
/// 0 for a sequence that is masked whole.
class Evaluator {
 public:
  /// Opens the data; `key` is the configuration's, "evaluators[0]", for messages.
  Evaluator(const TrainConfig& config, const EvaluatorConfig& evaluator, const std::string& key);

  const std::string& label() const { return label_; }
  std::int64_t batch_count() const { return loader_->batch_count(); }
  /// One pass; `progress(i)` after batch i of batch_count(). Throws TrainingError for a loss that is not finite.
  Metrics Run(Engine& engine, const std::function<void(std::int64_t)>& progress);

 private:
  std::string label_;
  std::unique_ptr<MemMapDataset> dataset_;
  std::unique_ptr<EvaluationLoader> loader_;
};

}  // namespace coat
