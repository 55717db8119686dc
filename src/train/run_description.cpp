#include "train/run_description.h"

#include <fmt/format.h>

#include "base/number_text.h"
#include "engine/device_limits.h"
#include "engine/memory_plan.h"
#include "train/save_schedule.h"

namespace coat {

namespace {

/// What of the data is left out of attention and of the loss.
std::string DescribeData(const DataConfig& data, const ModelConfig& model) {
  std::string text;
  if (data.label_mask_paths) text += ", with label masks";
  if (data.instance_filter) {
    const InstanceFilterConfig& filter = *data.instance_filter;
    text += fmt::format(", without labels where {} to {} tokens are there {} times in a row",
                        filter.repetition_min_period, filter.repetition_max_period, filter.repetition_max_count);
  }
  if (data.generate_doc_lengths) {
    text += fmt::format("; attention stays within documents, which end with token {}", model.eos_token_id);
  }
  return text;
}

}  // namespace

std::vector<std::string> DescribeRun(const TrainConfig& config, std::string_view device, const Engine& engine,
                                     const MemMapDataset& dataset) {
  const std::span<const Parameter> parameters = engine.model().parameters();
  const std::int64_t growth = WorkspaceGrowth(config, engine.context());
  const Communicator& ranks = engine.ranks();
  const std::string sharing = ranks.size() == 1 ? "" : fmt::format(", rank {} of {}", ranks.rank(), ranks.size());
  std::vector<std::string> lines = {
      fmt::format("Run {}: {} on {}{}", *config.run_name, RecipeName(config), device, sharing),
      fmt::format("Parameters: {}, {} without embeddings", WithCommas(CountParameters(parameters)),
                  WithCommas(CountNonEmbeddingParameters(parameters))),
      fmt::format("Memory: {} in arenas as `coat plan` prints them, {} of workspaces{}",
                  InBinaryUnits(Engine::Measure(config, ranks.rank(), ranks.size()).Total()),
                  InBinaryUnits(engine.context().workspace_bytes()),
                  growth > 0 ? " that may grow to " + InBinaryUnits(engine.context().workspace_bytes() + growth) : ""),
      fmt::format("Data: {} sequences of {} tokens{}", WithCommas(dataset.sequence_count()), dataset.sequence_length(),
                  DescribeData(config.data, config.model))};
  if (config.wandb) {
    lines.push_back(fmt::format("wandb: nothing is sent while training; scripts/import_to_wandb.py {} imports the run",
                                config.save_folder));
  }
  return lines;
}

std::vector<std::string> WarningsAtStart(const TrainConfig& config, std::int64_t step, std::int64_t last_step,
                                         std::optional<Benchmark> benchmark, bool from_elsewhere) {
  std::vector<std::string> warnings;
  if (!benchmark && SavesAtTheEnd(config, TrainerState(), /*stopped=*/false).empty()) {
    warnings.push_back(
        "no checkpoint is saved at the end of the run (save_num_checkpoints_to_keep: 0, and no "
        "save_interval_unsharded)");
  }
  if (step >= last_step) {
    warnings.push_back(
        fmt::format("no step is left to train: the run begins at step {} and ends at step {} "
                    "(max_duration, stop_at){}",
                    step, last_step, from_elsewhere ? "; --reset_trainer_state begins at step 0" : ""));
  }
  return warnings;
}

std::vector<std::string> DescribeFirstStep(const Engine& engine) {
  const std::shared_ptr<Device>& device = engine.context().backend();
  if (!device || !device->ExportTuning().empty()) return {};
  return {"The first step takes longer: it times the algorithms of its matrix products"};
}

std::vector<std::string> DescribeDeviceUse(const Engine& engine) {
  const std::shared_ptr<Device>& device = engine.context().backend();
  if (!device) return {};
  const Device::Memory memory = device->ReadMemory();
  const std::int64_t in_use = memory.total_bytes - memory.free_bytes;
  const std::int64_t arenas = engine.Used().Total();
  const std::int64_t workspace = device->workspace_bytes();
  return {"Chosen: " + device->DescribeTuning(),
          fmt::format("GPU memory, as the driver reports it: {} of {} in use: {} arenas, {} workspace, "
                      "{} CUDA context, libraries and other processes",
                      InBinaryUnits(in_use), InBinaryUnits(memory.total_bytes), InBinaryUnits(arenas),
                      InBinaryUnits(workspace), InBinaryUnits(in_use - arenas - workspace))};
}

}  // namespace coat
