#pragma once

#include <cstdint>
#include <functional>

#include "comm/communicator.h"

namespace coat {

/// Shares the batches of an evaluation among ranks, one after the other: batch b is rank b % ranks's.
///
/// Every rank makes the same number of calls of `evaluate(batch, counts)`, because ranks that share a model evaluate
/// together: one that has no batch left evaluates the last once more, with `counts` false. `progress(i)` follows for
/// each batch that ranks have done.
void ShareBatches(const Communicator& ranks, std::int64_t batches,
                  const std::function<void(std::int64_t batch, bool counts)>& evaluate,
                  const std::function<void(std::int64_t)>& progress);

}  // namespace coat
