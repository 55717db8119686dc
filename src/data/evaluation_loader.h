#pragma once
// The batches of one pass over an evaluation data set.

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"

namespace coat {

/// Which sequences an evaluation reads, and how many at a time.
struct EvaluationOptions {
  std::int64_t batch_size = 0;           // B, sequences of a batch
  std::int64_t subset_num_batches = -1;  // -1: all of the data; else this many batches
  std::uint64_t seed = 0;                // decides which sequences a subset has
};

/// Reads the batches of a pass over a data set: every sequence once, in the order of the data set; the last batch may
/// be smaller.
///
/// A subset is `subset_num_batches * B` sequences drawn without regard to file or label by the shuffle of data/order.h,
/// always the same ones for one seed. (OLMo instead pads the ranks' shares to one length or cuts them, so that some
/// sequences count twice or not at all, and draws a subset by torch.randperm.) Not thread-safe. Holds a reference to
/// the data set, which must outlive it.
class EvaluationLoader {
 public:
  /// Throws ArgumentError for sizes that are not positive, and for `subset_num_batches` of 0 or below -1.
  EvaluationLoader(const MemMapDataset& dataset, const EvaluationOptions& options);

  /// Batches and sequences of a pass, and the sequences of every batch but perhaps the last.
  std::int64_t batch_count() const { return batch_count_; }
  std::int64_t sequence_count() const { return sequence_count_; }
  std::int64_t batch_size() const { return options_.batch_size; }

  /// Batch `index` of batch_count(), valid until the next call. Throws as ReadBatch.
  const Batch& Read(std::int64_t index);

  /// Reads the tokens and the label masks of that batch for nothing but what this throws: the same as Read.
  void Check(std::int64_t index);

 private:
  void ChooseSequences(std::int64_t index);

  const MemMapDataset& dataset_;
  EvaluationOptions options_;
  std::vector<std::uint32_t> subset_;  // sorted; empty: all of the data
  std::int64_t sequence_count_;
  std::int64_t batch_count_;
  Batch batch_;
};

}  // namespace coat
