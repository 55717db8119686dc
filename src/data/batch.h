#pragma once
// The sequences that one step reads.

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace coat {

/// B sequences of T tokens with where they come from.
struct Batch {
  std::int64_t sequence_length = 0;         // T
  std::int64_t epoch = 0;                   // 0 in evaluation
  std::vector<std::int64_t> indices;        // [B], of the sequences in the data set
  std::vector<std::int32_t> input_ids;      // [B, T]
  std::vector<std::uint8_t> label_mask;     // [B, T] of 0 and 1; empty where the data set has no label mask
  std::vector<std::int32_t> documents;      // [B, T] as FindDocuments; empty where the data set does not ask for them
  std::vector<std::uint8_t> instance_mask;  // [B], 0 for a sequence that repeats itself; empty without a filter
  std::vector<std::int32_t> labels;         // [B], into MemMapDataset::labels()

  std::int64_t sequence_count() const { return static_cast<std::int64_t>(indices.size()); }  // B
};

/// Reads the sequences that `batch.indices` names into the other fields, `epoch` excepted. Throws as
/// MemMapDataset::ReadTokens and ReadLabelMask: a batch that was read holds only ids of the vocabulary.
void ReadBatch(const MemMapDataset& dataset, Batch& batch);

}  // namespace coat
