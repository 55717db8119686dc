#pragma once

#include "comm/communicator.h"

namespace coat {

/// The threads with which this rank computes on a CPU unless it is told: the cores that it may use, divided among the
/// ranks of its machine that may use the same ones; at least 1. All ranks call it together.
int CoreShare(Communicator& ranks);

}  // namespace coat
