#pragma once
// A file of our checkpoints that runs write (engine/run_checkpoint.h), and the key of their state that belongs to it.

namespace coat {

inline constexpr const char* kOptimizerStateFile = "optim.safetensors";
inline constexpr const char* kUpdatesKey = "updates";

}  // namespace coat
