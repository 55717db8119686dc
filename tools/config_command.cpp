#include "config/dump.h"
#include "config/load.h"
#include "config/validate.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/validation_output.h"

namespace coat {

int RunConfigCommand(const ConfigArguments& arguments) {
  const TrainConfig config = LoadTrainConfig(arguments.file, arguments.overrides, {.check_paths = false});
  Print(Dump(config));
  PrintValidation(Validate(config, {.needs_data = false}));
  return kExitSuccess;
}

int RunConfigReferenceCommand() {
  Print(ConfigReference());
  return kExitSuccess;
}

}  // namespace coat
