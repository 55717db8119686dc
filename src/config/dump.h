#pragma once
// The effective configuration as text.

#include <string>

#include "config/config.h"

namespace coat {

/// `config` as YAML, resolved: loading it gives the same values. Every key is there but the computed ones and those
/// without effect that are as by default. Numbers are written with the fewest digits that read back equal.
std::string Dump(const TrainConfig& config);

/// The contents of docs/config.md: every key with its type, default and what this build does with it.
std::string ConfigReference();

}  // namespace coat
