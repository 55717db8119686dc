#include "config/load.h"
#include "config/validate.h"
#include "tools/commands.h"
#include "tools/validation_output.h"
#include "train/trainer.h"

namespace coat {

int RunTrainCommand(const TrainArguments& arguments) {
  const TrainConfig config = LoadTrainConfig(arguments.config.file, arguments.config.overrides);
  PrintValidation(Validate(config));
  const TrainOutcome outcome = RunTraining(config, {.device = arguments.device});
  return outcome == TrainOutcome::kStoppedBySignal ? kExitStoppedBySignal : kExitSuccess;
}

}  // namespace coat
