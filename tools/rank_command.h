#pragma once
// A command that several ranks run together.

#include <functional>
#include <string>

#include "comm/communicator.h"

namespace coat {

/// Joins the ranks that a launcher has started and runs `command` on each; returns its exit code.
///
/// What it throws with one rank passes. With several, an error of all ranks (Error::is_of_all_ranks) is printed by rank
/// 0, and all leave with its exit code; any other is printed with the rank and ends all ranks at once.
int RunOnRanks(const std::function<int(Communicator& ranks)>& command);

/// For a command that one process runs. Throws UsageError where a launcher has started several.
void RequireOneRank(const std::string& command);

}  // namespace coat
