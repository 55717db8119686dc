#pragma once

#include "comm/communicator.h"
#include "config/config.h"

namespace coat {

/// Throws ConfigError on all ranks unless every one has this configuration and data files of the same sizes; it names
/// the first key or file, and the rank. A rank that lacks a file has "nothing". All ranks call it together.
void RequireSameRun(const TrainConfig& config, Communicator& ranks);

}  // namespace coat
