#pragma once

#include <cstdint>

#include "cuda/device/device.h"

namespace coat::cuda {

/// Bytes of workspace that a sort of `count` positions takes, estimated from above: the sorted ids, the positions and
/// CUB's second copies of both, 4 bytes each, an eighth more, and 4 MiB for its counters.
inline std::int64_t SortBytes(std::int64_t count) {
  return count * 18 + (4 << 20);
}

/// Sorts the positions [0, count) by their ids, equal ids in ascending position: `order` [count] has the positions.
/// Ids are in [0, id_count).
///
/// Works in the device's workspace, which grows to what it takes. Returns the sorted ids [count], with which the
/// workspace begins; the bytes behind them, 4 a position at least, may be written.
std::int32_t* SortPositions(CudaDevice& device, const std::int32_t* ids, std::int64_t count, std::int64_t id_count,
                            std::int32_t* order);

}  // namespace coat::cuda
