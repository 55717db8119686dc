#include <fmt/format.h>

#include <string>
#include <vector>

#include "comm/agreement.h"
#include "comm/same_values.h"
#include "config/load.h"
#include "config/validate.h"
#include "tools/build_information.h"
#include "tools/commands.h"
#include "tools/rank_command.h"
#include "tools/validation_output.h"
#include "train/trainer.h"

namespace coat {

namespace {

/// Throws ConfigError on all ranks unless they run the same program.
void RequireSameProgram(Communicator& ranks) {
  const BuildInformation build = DescribeBuild();
  const std::vector<NamedValue> program = {{"version of coat", std::string(build.version)},
                                           {"commit of coat", std::string(GitCommit())},
                                           {"compiler of coat", std::string(build.compiler)},
                                           {"build type of coat", std::string(build.build_type)},
                                           {"processor of coat's build", std::string(build.cpu_architecture)}};
  RequireSame(ranks, program, "the same program on all ranks");
}

int Train(const TrainArguments& arguments, Communicator& ranks) {
  RequireSameProgram(ranks);
  ValidationReport report;
  const TrainConfig config = MadeTogether(ranks, [&] {
    TrainConfig loaded =
        LoadTrainConfig(arguments.config.file, arguments.config.overrides, {.world_size = ranks.size()});
    report = Validate(loaded, {.ranks = ranks.size()});
    return loaded;
  });
  if (ranks.rank() == 0) PrintValidation(report);
  const TrainOutcome outcome = RunTraining(config, {.device = arguments.device}, ranks);
  return outcome == TrainOutcome::kStopped ? kExitStopped : kExitSuccess;
}

}  // namespace

int RunTrainCommand(const TrainArguments& arguments) {
  return RunOnRanks([&](Communicator& ranks) { return Train(arguments, ranks); });
}

}  // namespace coat
