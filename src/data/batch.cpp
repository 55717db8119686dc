#include "data/batch.h"

#include <cstddef>
#include <span>

namespace coat {

void ReadBatch(const MemMapDataset& dataset, Batch& batch) {
  const std::size_t sequences = batch.indices.size();
  const auto length = static_cast<std::size_t>(dataset.sequence_length());
  batch.sequence_length = dataset.sequence_length();
  batch.input_ids.resize(sequences * length);
  batch.label_mask.resize(dataset.has_label_mask() ? sequences * length : 0);
  batch.labels.resize(sequences);
  for (std::size_t i = 0; i < sequences; ++i) {
    const std::int64_t index = batch.indices[i];
    dataset.ReadTokens(index, std::span(batch.input_ids).subspan(i * length, length));
    if (dataset.has_label_mask()) {
      dataset.ReadLabelMask(index, std::span(batch.label_mask).subspan(i * length, length));
    }
    batch.labels[i] = dataset.LabelOf(index);
  }
}

}  // namespace coat
