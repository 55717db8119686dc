#include "config/validate.h"

#include "config/checker.h"

namespace coat {

ValidationReport Validate(const TrainConfig& config, const ValidateOptions& options) {
  ValidationReport report;
  ConfigChecker checker(config, report);
  CheckKeys(config, checker, report);
  CheckModel(config.model, checker);
  CheckOptimizer(config, checker);
  CheckTrainer(config, checker);
  CheckSchedule(config, checker);
  CheckData(config, options, checker);
  CheckRecipe(config, checker);
  CheckRanks(config, options.ranks, checker);
  return report;
}

}  // namespace coat
