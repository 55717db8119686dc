#pragma once

#include <cstdint>
#include <string>

#include "comm/communicator.h"

namespace coat {

// Each is a call of all ranks together.

/// The number of machines that the ranks run on, by their host names.
int MachineCount(Communicator& ranks);

/// The threads with which this rank computes on a CPU unless it is told: the cores that it may use, divided among the
/// ranks of its machine that may use the same ones; at least 1.
int CoreShare(Communicator& ranks);

/// What the ranks of this rank's machine have of something.
struct MachineSum {
  int ranks = 1;
  std::int64_t total = 0;
};
MachineSum SumOnMachine(Communicator& ranks, std::int64_t own);

/// Throws ConfigError on every rank if two ranks of a machine have the same device: `id` tells this rank's from the
/// others of its machine.
void RequireOwnDevices(Communicator& ranks, const std::string& id);

}  // namespace coat
