#include <optional>
#include <string>

#include "base/error.h"
#include "config/load.h"
#include "config/validate.h"
#include "plan/memory_table.h"
#include "plan/prediction.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/validation_output.h"

namespace coat {

namespace {

constexpr int kGpusPerNode = 8;  // of the maker's systems

std::string Text(const TrainConfig& config, const std::optional<Cluster>& cluster, const PlanArguments& arguments) {
  const int ranks = arguments.ranks;
  if (arguments.json) return (cluster ? PredictionJson(config, *cluster) : PlanJson(config, ranks)) + "\n";
  return PlanTable(config, ranks) + (cluster ? PredictionTable(config, *cluster) : "");
}

std::optional<Cluster> ClusterOf(const PlanArguments& arguments) {
  if (arguments.gpu.empty()) {
    if (arguments.interconnect.empty() && !arguments.gpus_per_node) return std::nullopt;
    throw UsageError("plan: --interconnect and --gpus_per_node are of a prediction; accepted with --gpu");
  }
  const Gpu& gpu = FindGpu(arguments.gpu);
  return Cluster{
      .ranks = arguments.ranks,
      .gpu = gpu,
      .interconnect = FindInterconnect(arguments.interconnect, gpu, arguments.gpus_per_node.value_or(kGpusPerNode))};
}

}  // namespace

int RunPlanCommand(const PlanArguments& arguments) {
  const std::optional<Cluster> cluster = ClusterOf(arguments);
  const TrainConfig config = LoadTrainConfig(arguments.config.file, arguments.config.overrides,
                                             {.world_size = arguments.ranks, .check_paths = false});
  const ValidationReport report = Validate(config, {.needs_data = false, .ranks = arguments.ranks});
  const std::string text = Text(config, cluster, arguments);
  PrintValidation(report);
  Print(text);
  return kExitSuccess;
}

}  // namespace coat
