#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "config/config.h"
#include "engine/loss_model.h"
#include "output/metrics.h"

namespace coat {

/// One evaluation of a configuration: data, and what is measured on it.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  const std::string& label() const { return label_; }
  EvaluationRecipe recipe() const { return recipe_; }

  virtual std::int64_t batch_count() const = 0;
  /// Reads what this rank reads in a pass, and throws IoError where a pass would. What is read whole when it is opened
  /// was checked then.
  virtual void CheckData(const Communicator&) {}
  /// One pass, which the ranks share by whole batches, so that all have the numbers that one rank has, to the bit.
  /// `progress(i)` after batch i of batch_count(). Throws TrainingError for a loss that is not finite.
  virtual Metrics Run(LossModel& model, Communicator& ranks, const std::function<void(std::int64_t)>& progress) = 0;
  /// The labels of its data sets that have no metrics of the last pass, though others have: none of their sequences was
  /// evaluated, or none counts.
  virtual std::vector<std::string> Unmeasured() const { return {}; }
  /// What the last pass found piece by piece, one object of JSON each; nothing where there are no pieces.
  virtual std::vector<std::string> Details() const { return {}; }

 protected:
  explicit Evaluator(const EvaluatorConfig& config) : label_(config.label), recipe_(config.recipe) {}

 private:
  std::string label_;
  EvaluationRecipe recipe_;
};

/// Opens the data of an evaluator; `key` is the configuration's, "evaluators[0]", for messages.
std::unique_ptr<Evaluator> MakeEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator,
                                         const std::string& key);

}  // namespace coat
