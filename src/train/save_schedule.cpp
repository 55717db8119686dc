#include "train/save_schedule.h"

#include <algorithm>
#include <optional>
#include <string>

#include "checkpoint/directory.h"

namespace coat {

namespace {

bool IsDue(std::int64_t step, const std::optional<std::int64_t>& interval) {
  return interval && *interval > 0 && step % *interval == 0;
}

bool HasCheckpoint(const std::vector<std::string>& names, std::int64_t step, CheckpointKind kind) {
  return std::find(names.begin(), names.end(), CheckpointName{.step = step, .kind = kind}.text()) != names.end();
}

/// Whether the state's step is saved, to be kept or ephemeral.
bool HasSharded(const TrainerState& state) {
  return HasCheckpoint(state.checkpoints, state.step, CheckpointKind::kSharded) ||
         HasCheckpoint(state.ephemeral_checkpoints, state.step, CheckpointKind::kSharded);
}

bool HasUnsharded(const TrainerState& state) {
  return HasCheckpoint(state.unsharded_checkpoints, state.step, CheckpointKind::kUnsharded);
}

}  // namespace

std::vector<SaveKind> SavesDue(const TrainConfig& config, std::int64_t step) {
  std::vector<SaveKind> kinds;
  if (IsDue(step, config.save_interval) && config.save_num_checkpoints_to_keep != 0) {
    kinds.push_back(SaveKind::kSharded);
  } else if (IsDue(step, config.save_interval_ephemeral)) {
    kinds.push_back(SaveKind::kEphemeral);
  }
  if (IsDue(step, config.save_interval_unsharded) && config.save_num_unsharded_checkpoints_to_keep != 0) {
    kinds.push_back(SaveKind::kUnsharded);
  }
  return kinds;
}

bool UnshardedIsDueAtStart(const TrainConfig& config, const TrainerState& state, bool resumes_here) {
  if (HasUnsharded(state)) return false;
  if (config.force_save_unsharded) return true;
  if (config.dry_run || !resumes_here || state.step == 0) return false;
  const std::vector<SaveKind> due = SavesDue(config, state.step);
  return std::find(due.begin(), due.end(), SaveKind::kUnsharded) != due.end();
}

std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, const TrainerState& state, bool stopped) {
  const bool keeps_sharded = config.save_num_checkpoints_to_keep != 0;
  const bool has_sharded = HasSharded(state);
  const bool has_unsharded = HasUnsharded(state);
  if (stopped && keeps_sharded) {
    return has_sharded ? std::vector<SaveKind>() : std::vector<SaveKind>{SaveKind::kSharded};
  }
  if (config.save_interval_unsharded && !has_unsharded) return {SaveKind::kUnsharded};
  if (keeps_sharded && !has_sharded) return {SaveKind::kSharded};
  if (stopped && !has_sharded && !has_unsharded) return {SaveKind::kSharded};
  return {};
}

bool EndIsSaved(const TrainConfig& config, const TrainerState& state) {
  return HasUnsharded(state) || (!config.save_interval_unsharded && HasSharded(state));
}

}  // namespace coat
