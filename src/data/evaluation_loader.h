#pragma once
// The batches of one pass over an evaluation data set.

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"

namespace coat {

/// Which sequences an evaluation reads, and how many at a time.
struct EvaluationOptions {
  std::int64_t batch_size = 0;           // B, sequences of one rank in a batch
  std::int64_t subset_num_batches = -1;  // -1: all of the data; else this many batches
  std::uint64_t seed = 0;                // decides which sequences a subset has
  std::int64_t rank = 0;
  std::int64_t world_size = 1;  // R ranks
};

/// Yields every sequence of a data set once among the ranks, in the order of the data set; the last batch may be
/// smaller.
///
/// A subset is `subset_num_batches * B * R` sequences drawn without regard to file or label by the shuffle of
/// data/order.h, always the same ones for one seed. All ranks see the same number of batches; the last one can be empty
/// for some. (OLMo instead pads the ranks' shares to one length or cuts them, so that some sequences count twice or not
/// at all, and draws a subset by torch.randperm.) Not thread-safe. Holds a reference to the data set, which must
/// outlive it.
class EvaluationLoader {
 public:
  /// Throws ArgumentError for sizes that are not positive, and for `subset_num_batches` of 0 or below -1.
  EvaluationLoader(const MemMapDataset& dataset, const EvaluationOptions& options);

  /// Batches of a pass.
  std::int64_t batch_count() const { return batch_count_; }

  /// The next batch of the pass, valid until the next call; null once after the last, and then the next pass begins.
  ///
  /// Throws as ReadBatch.
  const Batch* Next();

 private:
  const MemMapDataset& dataset_;
  EvaluationOptions options_;
  std::vector<std::uint32_t> subset_;  // sorted; empty: all of the data
  std::int64_t sequence_count_;
  std::int64_t batch_count_;
  std::int64_t next_batch_ = 0;
  Batch batch_;
};

}  // namespace coat
