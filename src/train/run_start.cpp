#include "train/run_start.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checksum.h"
#include "checkpoint/directory.h"
#include "comm/agreement.h"
#include "comm/packed.h"
#include "comm/same_values.h"
#include "engine/run_checkpoint.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// One path may be other folders on other machines. The state has the checksums of all other files.
void RequireSameCheckpoint(Communicator& ranks, const CheckpointReader& reader) {
  const std::string state = FormatTrainerState(reader.state());
  const NamedValue found = {"load_path", fmt::format("{}: step {}, checksum {:08x}", reader.path(), reader.state().step,
                                                     Crc32(std::as_bytes(std::span(state))))};
  RequireSame(ranks, std::span(&found, 1), "the same checkpoint on all ranks");
}

/// Parameters and, unless the optimizer starts anew, its state.
void LoadTensors(const CheckpointReader& reader, const std::string& path, const TakeOver& take_over, Engine& engine,
                 Console& console) {
  LoadParameters(reader, engine);
  // A run that does not go on where the checkpoint's stopped has nobody to agree with in the last bits.
  const bool goes_on =
      take_over.optimizer_state && take_over.trainer_state && take_over.data_position && take_over.batches_to_skip == 0;
  const std::vector<std::string> reasons = engine.ranks().AllGatherText(LoadTuning(reader, engine.context()));
  for (std::size_t rank = 0; goes_on && rank < reasons.size(); ++rank) {
    if (reasons[rank].empty()) continue;
    const std::string where = reasons.size() == 1 ? path : fmt::format("{}, on rank {}", path, rank);
    console.Warn(kLogger, fmt::format("{}: the choice of matrix products is not taken over: {}; losses may differ in "
                                      "the last bits from those of a run without a stop",
                                      where, reasons[rank]));
  }
  if (take_over.optimizer_state) LoadOptimizerState(reader, engine);
}

void TakeOverState(const TakeOver& take_over, const TrainerState& loaded, TrainerState& state) {
  if (take_over.trainer_state) {
    state = loaded;
    if (!take_over.optimizer_state) state.extra.updates = 0;
    if (!take_over.data_position) state.extra.bolt_on_start.reset();  // a step that does not come in this run
  } else if (take_over.optimizer_state) {
    state.extra.updates = loaded.extra.updates;  // belongs to the moments
  }
  if (!take_over.data_position) {
    state.step = state.epoch = state.examples_seen_this_epoch = state.examples_seen = state.tokens_seen = 0;
  }
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The lists of a run that goes on from the checkpoint at `path`, of `step`: what they name and is there, and what the
/// run saved at the same step after that checkpoint, which cannot know it.
void KeepExistingCheckpoints(const TrainConfig& config, const SaveFolder& folder, const std::string& path,
                             std::int64_t step, Communicator& ranks, TrainerState& state) {
  const std::array lists = {&state.checkpoints, &state.unsharded_checkpoints, &state.ephemeral_checkpoints};
  for (std::vector<std::string>* names : lists) {
    *names = folder.resumes_here() ? ExistingCheckpoints(config.save_folder, *names) : std::vector<std::string>();
  }
  if (!folder.resumes_here()) return;
  const auto add = [&](CheckpointKind kind, std::vector<std::string>& names) {
    const std::string name = CheckpointName{.step = step, .kind = kind}.text();
    if (Contains(names, name) || Contains(state.ephemeral_checkpoints, name)) return;
    const std::string other = config.save_folder + "/" + name;
    if (IsWholeCheckpoint(other) && RunOf(other) == RunOf(path)) names.push_back(name);
  };
  add(CheckpointKind::kSharded, state.checkpoints);
  add(CheckpointKind::kUnsharded, state.unsharded_checkpoints);
  for (std::vector<std::string>* names : lists) std::tie(*names) = OfRankZero(ranks, *names);
}

}  // namespace

TakeOver TakeOverOf(const TrainConfig& config, const SaveFolder& folder) {
  if (!folder.checkpoint_to_load() || folder.continues_latest_save()) return {};
  return {.optimizer_state = !config.reset_optimizer_state,
          .trainer_state = !config.reset_trainer_state,
          .data_position = config.restore_dataloader,
          .batches_to_skip = config.fast_forward_batches.value_or(0),
          .warm_up_again = config.reset_optimizer_state && !config.reset_trainer_state};
}

TrainerState StartRun(const TrainConfig& config, const SaveFolder& folder, const TakeOver& take_over, Engine& engine,
                      Console& console) {
  TrainerState state;
  if (folder.checkpoint_to_load()) {
    const std::string& path = *folder.checkpoint_to_load();
    const auto reader = MadeTogether(engine.ranks(), [&] { return CheckpointReader(path); });
    RequireSameCheckpoint(engine.ranks(), reader);
    const bool is_same_epoch = !config.epoch || *config.epoch == reader.state().epoch || folder.continues_latest_save();
    const bool is_within_epoch = take_over.trainer_state && take_over.data_position && is_same_epoch &&
                                 reader.state().examples_seen_this_epoch > 0;
    const auto warnings = MadeTogether(engine.ranks(), [&] {
      std::vector<std::string> all = CompareWithCheckpoint(config, reader);
      if (!is_within_epoch) return all;
      const std::string_view advice =
          folder.continues_latest_save() ? "" : "; --restore_dataloader=false begins the data anew";
      for (const std::string& warning : CompareDataOrder(config, reader)) all.push_back(warning + std::string(advice));
      return all;
    });
    for (const std::string& warning : warnings) console.Warn(kLogger, warning);
    LoadTensors(reader, path, take_over, engine, console);
    TakeOverState(take_over, reader.state(), state);
    KeepExistingCheckpoints(config, folder, path, reader.state().step, engine.ranks(), state);
    console.Info(kLogger, fmt::format("Loaded {}: step {}, epoch {}{}", path, state.step, state.epoch,
                                      take_over.optimizer_state ? "" : ", without the optimizer's state"));
  } else {
    if (config.fast_forward_batches.value_or(0) > 0) {
      console.Warn(kLogger, "fast_forward_batches has no effect: no checkpoint is loaded (load_path)");
    }
    engine.InitializeParameters(static_cast<std::uint64_t>(config.seed));
  }
  if (config.epoch && *config.epoch != state.epoch && !folder.continues_latest_save()) {
    state.epoch = *config.epoch;
    state.examples_seen_this_epoch = 0;
  }
  return state;
}

}  // namespace coat
