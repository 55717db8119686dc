#pragma once

#include <cstdint>

#include "cuda/device.h"

namespace coat::cuda {

/// Sorts the positions [0, count) by their ids, equal ids in ascending position: `order` [count] has the positions,
/// `sorted_ids` [count] their ids. Ids are in [0, id_count).
///
/// Works in the device's workspace from byte `workspace_begin` on, a multiple of 256. Throws ArgumentError if count
/// positions need more than is there: about 16 bytes each.
void SortPositions(CudaDevice& device, const std::int32_t* ids, std::int64_t count, std::int64_t id_count,
                   std::int64_t workspace_begin, std::int32_t* sorted_ids, std::int32_t* order);

}  // namespace coat::cuda
