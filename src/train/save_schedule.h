#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "train/save_folder.h"

namespace coat {

/// The checkpoints to save after `step`, in order.
std::vector<SaveKind> SavesDue(const TrainConfig& config, std::int64_t step);

/// Those to save at the end of a run whose last step has none yet; `stopped` by a signal, it gets one in any case.
std::vector<SaveKind> SavesAtTheEnd(const TrainConfig& config, bool stopped);

}  // namespace coat
