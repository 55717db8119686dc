#include "config/load.h"
#include "config/validate.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/validation_output.h"
#include "train/memory_plan.h"

namespace coat {

int RunPlanCommand(const PlanArguments& arguments) {
  const TrainConfig config = LoadTrainConfig(arguments.config.file, arguments.config.overrides, {.check_paths = false});
  PrintValidation(Validate(config, {.needs_data = false}));
  Print(arguments.json ? PlanJson(config) + "\n" : PlanTable(config));
  return kExitSuccess;
}

}  // namespace coat
