#include "train/save_schedule.h"

#include <optional>

namespace coat {

namespace {

bool IsDue(std::int64_t step, const std::optional<std::int64_t>& interval) {
  return interval && *interval > 0 && step % *interval == 0;
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

std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, bool stopped) {
  if (stopped || config.save_num_checkpoints_to_keep != 0) return {SaveKind::kSharded};
  if (config.save_interval_unsharded) return {SaveKind::kUnsharded};
  return {};
}

}  // namespace coat
