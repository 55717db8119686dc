#pragma once
// The order in which training reads its sequences, bit for bit the one of OLMo's IterableDataset.
//
// An epoch's order is one list of sequence indices for all ranks. A global batch is a run of consecutive entries; rank
// r of R takes entries r, r + R, r + 2R, ... of it. So the content of a global batch does not depend on the number of
// ranks.

#include <cstdint>
#include <vector>

namespace coat {

/// What decides the order of one epoch.
struct OrderOptions {
  std::uint64_t seed = 0;           // of the data: `data.seed`, or the run's seed
  std::int64_t epoch = 0;           // from 0; each epoch is a shuffle of its own
  std::int64_t sequence_count = 0;  // of the whole data set
  std::int64_t world_size = 1;      // ranks
  bool drop_last = true;            // at a count that the ranks do not divide: leave the tail out, or repeat the head
};

/// The number of entries of an epoch's order: `sequence_count` rounded to a multiple of `world_size`, down with
/// `drop_last`, else up.
///
/// Throws ArgumentError unless 0 <= sequence_count < 2^32 - 1 and world_size > 0.
std::int64_t OrderSize(const OrderOptions& options);

/// The order of one epoch: 0 ... sequence_count - 1 shuffled by NumPy's PCG64 of `seed + epoch`, then cut or repeated
/// from its beginning to OrderSize entries.
///
/// Exactness: the same numbers as OLMo's global_indices.npy.
/// Throws as OrderSize, and ArgumentError for a negative epoch.
/// Source: OLMo, olmo/data/iterable_dataset.py.
std::vector<std::uint32_t> BuildOrder(const OrderOptions& options);

}  // namespace coat
