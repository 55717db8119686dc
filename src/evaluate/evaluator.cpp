#include "evaluate/evaluator.h"

#include "evaluate/downstream_evaluator.h"
#include "evaluate/lm_evaluator.h"

namespace coat {

std::unique_ptr<Evaluator> MakeEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator,
                                         const std::string& key) {
  if (evaluator.type == EvaluatorType::kDownstream) {
    return std::make_unique<DownstreamEvaluator>(config, evaluator, key);
  }
  return std::make_unique<LmEvaluator>(config, evaluator, key);
}

}  // namespace coat
