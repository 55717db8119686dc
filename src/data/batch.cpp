#include "data/batch.h"

#include <cstddef>
#include <span>

#include "data/documents.h"
#include "data/repetition.h"

namespace coat {

void ReadBatch(const MemMapDataset& dataset, Batch& batch) {
  const std::size_t sequences = batch.indices.size();
  const auto length = static_cast<std::size_t>(dataset.sequence_length());
  batch.sequence_length = dataset.sequence_length();
  batch.input_ids.resize(sequences * length);
  batch.label_mask.resize(dataset.has_label_mask() ? sequences * length : 0);
  batch.documents.resize(dataset.end_of_document() ? sequences * length : 0);
  batch.instance_mask.resize(dataset.repetition_filter() ? sequences : 0);
  batch.labels.resize(sequences);
  for (std::size_t i = 0; i < sequences; ++i) {
    const std::int64_t index = batch.indices[i];
    const std::span<std::int32_t> tokens = std::span(batch.input_ids).subspan(i * length, length);
    dataset.ReadTokens(index, tokens);
    if (dataset.end_of_document()) {
      FindDocuments(tokens, *dataset.end_of_document(), std::span(batch.documents).subspan(i * length, length));
    }
    if (dataset.repetition_filter()) {
      batch.instance_mask[i] = RepeatsItself(tokens, *dataset.repetition_filter()) ? 0 : 1;
    }
    if (dataset.has_label_mask()) {
      dataset.ReadLabelMask(index, std::span(batch.label_mask).subspan(i * length, length));
    }
    batch.labels[i] = dataset.LabelOf(index);
  }
}

}  // namespace coat
