#pragma once

#include <cstdint>
#include <span>

#include "config/config.h"

namespace coat {

/// What evaluators need of a model: the loss of each position, in one of two recipes.
class LossModel {
 public:
  virtual ~LossModel() = default;

  /// Before the batches of one evaluation. The recipe must be one that an evaluator of the configuration asks for.
  virtual void PrepareEvaluation(EvaluationRecipe recipe) = 0;
  /// The loss of each position [B, T], 0 where the label is negative. Valid until the next call. `documents` as in
  /// BatchBuffers::Load.
  virtual std::span<const float> EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                               std::int64_t sequences,
                                               std::span<const std::int32_t> documents = {}) = 0;

 protected:
  LossModel() = default;
  LossModel(const LossModel&) = default;
  LossModel& operator=(const LossModel&) = default;
};

/// What the evaluators of a configuration ask for.
struct EvaluationNeeds {
  std::int64_t sequences = 0;  // of the largest batch; 0: there is no evaluator
  bool plain = false;          // whether any is in the plain recipe
  bool training = false;       // whether any is in the training's
  bool documents = false;      // whether in any attention stays within documents
};
EvaluationNeeds EvaluationNeedsOf(const TrainConfig& config);

}  // namespace coat
