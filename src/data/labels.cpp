#include "data/labels.h"

#include "base/error.h"

namespace coat {

std::int64_t MakeLabels(const Batch& batch, std::int64_t first, std::int64_t count, std::span<std::int32_t> labels) {
  const std::int64_t length = batch.sequence_length;
  const std::int64_t tokens = batch.sequence_count() * length;
  COAT_REQUIRE(first >= 0 && count >= 0 && count <= batch.sequence_count() - first,
               "MakeLabels: sequences [{}, {} + {}) of a batch of {}", first, first, count, batch.sequence_count());
  COAT_REQUIRE(static_cast<std::int64_t>(batch.input_ids.size()) == tokens,
               "MakeLabels: input_ids has {} tokens; the batch has {} sequences of {}", batch.input_ids.size(),
               batch.sequence_count(), length);
  const bool has_mask = !batch.label_mask.empty();
  COAT_REQUIRE(!has_mask || static_cast<std::int64_t>(batch.label_mask.size()) == tokens,
               "MakeLabels: label_mask has {} items; the batch has {} sequences of {}", batch.label_mask.size(),
               batch.sequence_count(), length);
  const bool has_instance_mask = !batch.instance_mask.empty();
  COAT_REQUIRE(!has_instance_mask || static_cast<std::int64_t>(batch.instance_mask.size()) == batch.sequence_count(),
               "MakeLabels: instance_mask has {} items; the batch has {} sequences", batch.instance_mask.size(),
               batch.sequence_count());
  COAT_REQUIRE(static_cast<std::int64_t>(labels.size()) == count * length,
               "MakeLabels: room for {} labels; expected {} sequences of {}", labels.size(), count, length);

  std::int64_t predicted = 0;
  for (std::int64_t sequence = 0; sequence < count; ++sequence) {
    const std::int64_t source = (first + sequence) * length;
    const bool kept = !has_instance_mask || batch.instance_mask[static_cast<std::size_t>(first + sequence)] != 0;
    std::int32_t* const out = labels.data() + sequence * length;
    for (std::int64_t t = 0; t < length; ++t) {
      const bool has_label = kept && t + 1 < length && (!has_mask || batch.label_mask[source + t + 1] != 0);
      out[t] = has_label ? batch.input_ids[source + t + 1] : kNoLabel;
      predicted += has_label;
    }
  }
  return predicted;
}

}  // namespace coat
