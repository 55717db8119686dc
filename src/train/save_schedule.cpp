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

}  // namespace

LastSaves LastSavesOf(const TrainerState& state) {
  LastSaves last;
  if (HasCheckpoint(state.checkpoints, state.step, CheckpointKind::kSharded) ||
      HasCheckpoint(state.ephemeral_checkpoints, state.step, CheckpointKind::kSharded)) {
    last.sharded = state.step;
  }
  if (HasCheckpoint(state.unsharded_checkpoints, state.step, CheckpointKind::kUnsharded)) last.unsharded = state.step;
  return last;
}

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

std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, std::int64_t step, const LastSaves& last, bool stopped) {
  const bool keeps_sharded = config.save_num_checkpoints_to_keep != 0;
  if (stopped && keeps_sharded) {
    return last.sharded != step ? std::vector<SaveKind>{SaveKind::kSharded} : std::vector<SaveKind>();
  }
  if (config.save_interval_unsharded && last.unsharded != step) return {SaveKind::kUnsharded};
  if (keeps_sharded && last.sharded != step) return {SaveKind::kSharded};
  if (stopped && last.sharded != step && last.unsharded != step) return {SaveKind::kSharded};
  return {};
}

}  // namespace coat
