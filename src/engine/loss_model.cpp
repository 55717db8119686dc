#include "engine/loss_model.h"

#include <algorithm>

namespace coat {

EvaluationNeeds EvaluationNeedsOf(const TrainConfig& config) {
  EvaluationNeeds needs;
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    needs.sequences =
        std::max(needs.sequences, evaluator.device_eval_batch_size.value_or(config.device_eval_batch_size));
    (evaluator.recipe == EvaluationRecipe::kPlain ? needs.plain : needs.training) = true;
    if (evaluator.data.generate_doc_lengths) needs.documents = true;
  }
  return needs;
}

}  // namespace coat
