#pragma once

#include <span>
#include <string>
#include <utility>

#include "comm/communicator.h"

namespace coat {

/// A thing that all ranks must have alike, and what a rank has: {"optimizer.learning_rate", "4e-4"}.
using NamedValue = std::pair<std::string, std::string>;

/// Compares the values of all ranks with those of rank 0, by name. Throws ConfigError on every rank, with the first
/// name and rank that differ and both values; `accepted` ends the message: "the same configuration on all ranks".
void RequireSame(Communicator& ranks, std::span<const NamedValue> values, const std::string& accepted);

}  // namespace coat
