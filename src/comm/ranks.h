#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/transport.h"

namespace coat {

/// The communicator of ranks whose tensors lie in host memory: kCpu, and kMeta, where nothing is done. Tensors on kCuda
/// are an ArgumentError where there is more than one rank.
///
/// A rank adds up its own part of a tensor, with the threads of its context: values as float32, in the order of the
/// ranks, one rounding at the end. An AllReduce is that and an AllGather, so all ranks have the same bytes. The results
/// do not depend on the number of threads. It keeps at most 64 MiB for what the other ranks have sent, or 64 KiB a
/// rank where there are more than a thousand.
std::unique_ptr<Communicator> MakeRanks(std::unique_ptr<Transport> transport);

}  // namespace coat
