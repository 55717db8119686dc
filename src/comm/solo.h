#pragma once

#include <memory>

#include "comm/communicator.h"

namespace coat {

/// The communicator of one rank: nothing is sent anywhere.
std::unique_ptr<Communicator> MakeSolo();

/// Stands for rank `rank` of `size` where no other rank is, to measure what such a rank needs: the collectives of
/// tensors do nothing, a context that computes (any but kMeta) is an ArgumentError, and so is Split; the other ranks
/// say what this one says.
std::unique_ptr<Communicator> MakeMeasuring(int rank, int size);

}  // namespace coat
