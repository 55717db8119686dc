#include "train/run_start.h"

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "train/run_checkpoint.h"
#include "train/state_keys.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// Parameters and, unless reset, the optimizer's state.
void LoadTensors(const TrainConfig& config, const CheckpointReader& reader, const std::string& path, Engine& engine,
                 Console& console) {
  LoadParameters(reader, engine);
  if (const std::string reason = LoadTuning(reader, engine); !reason.empty()) {
    console.Warn(kLogger, fmt::format("{}: the choice of matrix products is not taken over: {}; losses may differ in "
                                      "the last bits from those of a run without a stop",
                                      path, reason));
  }
  if (!config.reset_optimizer_state) LoadOptimizerState(reader, engine);
}

/// What the configuration takes over of a checkpoint's state.
void TakeOver(const TrainConfig& config, const TrainerState& loaded, TrainerState& state) {
  if (!config.reset_trainer_state) {
    const std::map<std::string, double> fresh = state.extra;
    state = loaded;
    state.extra.insert(fresh.begin(), fresh.end());
    if (config.reset_optimizer_state) state.extra[kUpdates] = 0.0;
  } else if (!config.reset_optimizer_state && loaded.extra.contains(kUpdates)) {
    state.extra[kUpdates] = loaded.extra.at(kUpdates);  // belongs to the moments
  }
  if (!config.restore_dataloader) {
    state.step = state.epoch = state.examples_seen_this_epoch = state.examples_seen = state.tokens_seen = 0;
  }
}

void KeepExistingCheckpoints(const TrainConfig& config, const SaveFolder& folder, TrainerState& state) {
  for (std::vector<std::string>* names :
       {&state.checkpoints, &state.unsharded_checkpoints, &state.ephemeral_checkpoints}) {
    *names = folder.resumes_here() ? ExistingCheckpoints(config.save_folder, *names) : std::vector<std::string>();
  }
}

}  // namespace

TrainerState StartRun(const TrainConfig& config, const SaveFolder& folder, Engine& engine, Console& console) {
  TrainerState state;
  state.extra = {{kUpdates, 0.0}, {kSkipped, 0.0}, {kSkippedInARow, 0.0}};
  if (folder.checkpoint_to_load()) {
    const std::string& path = *folder.checkpoint_to_load();
    const CheckpointReader reader(path);
    LoadTensors(config, reader, path, engine, console);
    TakeOver(config, reader.state(), state);
    KeepExistingCheckpoints(config, folder, state);
    console.Info(kLogger, fmt::format("Loaded {}: step {}, epoch {}", path, state.step, state.epoch));
  } else {
    engine.InitializeParameters(static_cast<std::uint64_t>(config.seed));
  }
  if (config.epoch && *config.epoch != state.epoch) {
    state.epoch = *config.epoch;
    state.examples_seen_this_epoch = 0;
  }
  return state;
}

}  // namespace coat
