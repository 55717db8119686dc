#include <string>

#include "base/error.h"
#include "config/load.h"
#include "config/validate.h"
#include "plan/prediction.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/validation_output.h"
#include "train/memory_plan.h"

namespace coat {

namespace {

constexpr int kGpusPerNode = 8;  // of the maker's systems

std::string Memory(const TrainConfig& config, const PlanArguments& arguments) {
  return arguments.json ? PlanJson(config, arguments.ranks) + "\n" : PlanTable(config, arguments.ranks);
}

std::string MemoryAndSpeed(const TrainConfig& config, const PlanArguments& arguments) {
  const Gpu& gpu = FindGpu(arguments.gpu);
  const Cluster cluster = {
      .ranks = arguments.ranks,
      .gpu = gpu,
      .interconnect = FindInterconnect(arguments.interconnect, gpu, arguments.gpus_per_node.value_or(kGpusPerNode))};
  if (arguments.json) return PredictionJson(config, cluster) + "\n";
  const std::string prediction = PredictionTable(config, cluster);
  return PlanTable(config, arguments.ranks) + prediction;
}

}  // namespace

int RunPlanCommand(const PlanArguments& arguments) {
  if (arguments.gpu.empty() && (!arguments.interconnect.empty() || arguments.gpus_per_node)) {
    throw UsageError("plan: --interconnect and --gpus_per_node are of a prediction; accepted with --gpu");
  }
  const TrainConfig config = LoadTrainConfig(arguments.config.file, arguments.config.overrides,
                                             {.world_size = arguments.ranks, .check_paths = false});
  PrintValidation(Validate(config, {.needs_data = false}));
  Print(arguments.gpu.empty() ? Memory(config, arguments) : MemoryAndSpeed(config, arguments));
  return kExitSuccess;
}

}  // namespace coat
