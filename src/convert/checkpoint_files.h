#pragma once
// The key of the state of our checkpoints that belongs to the optimizer.

namespace coat {

inline constexpr const char* kUpdatesKey = "updates";

}  // namespace coat
