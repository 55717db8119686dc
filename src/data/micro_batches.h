#pragma once
// Which sequences of a step go through the model together.

#include <cstdint>
#include <vector>

#include "data/batch.h"

namespace coat {

/// The order in which `sequences` sequences are taken when each micro-batch takes the next `size`: of n full ones, the
/// first has every n-th sequence from the first on, the second from the second on; what is left over comes last.
///
/// Rank r of R has every R-th sequence of a step from r on. So its j-th of n micro-batches is the one that a single
/// rank has as its (r + R j)-th of R n: as long as all are full, the micro-batches of a step are the same sequences
/// whatever the number of ranks. (OLMo cuts a rank's sequences into runs, which differ with the number of ranks; it
/// matters where a scale is taken over a micro-batch.) Both counts are 1 or more.
std::vector<std::int64_t> MicroBatchOrder(std::int64_t sequences, std::int64_t size);

/// `batch` with its sequences in this order.
Batch InMicroBatchOrder(const Batch& batch, std::int64_t size);

}  // namespace coat
