#include "data/micro_batches.h"

#include <algorithm>
#include <cstddef>

namespace coat {

namespace {

/// The rows of a field of `order.size()` rows, or of none, in another order.
template <class T>
std::vector<T> Reordered(const std::vector<T>& field, const std::vector<std::int64_t>& order) {
  std::vector<T> result(field.size());
  const auto width = static_cast<std::ptrdiff_t>(field.size() / order.size());
  auto to = result.begin();
  for (const std::int64_t row : order) to = std::copy_n(field.begin() + row * width, width, to);
  return result;
}

}  // namespace

std::vector<std::int64_t> MicroBatchOrder(std::int64_t sequences, std::int64_t size) {
  std::vector<std::int64_t> order;
  order.reserve(static_cast<std::size_t>(sequences));
  const std::int64_t full = sequences / size;
  for (std::int64_t micro_batch = 0; micro_batch < full; ++micro_batch) {
    for (std::int64_t i = 0; i < size; ++i) order.push_back(micro_batch + full * i);
  }
  for (std::int64_t rest = full * size; rest < sequences; ++rest) order.push_back(rest);
  return order;
}

Batch InMicroBatchOrder(const Batch& batch, std::int64_t size) {
  const std::vector<std::int64_t> order = MicroBatchOrder(batch.sequence_count(), size);
  return {.sequence_length = batch.sequence_length,
          .epoch = batch.epoch,
          .indices = Reordered(batch.indices, order),
          .input_ids = Reordered(batch.input_ids, order),
          .label_mask = Reordered(batch.label_mask, order),
          .documents = Reordered(batch.documents, order),
          .instance_mask = Reordered(batch.instance_mask, order),
          .labels = Reordered(batch.labels, order)};
}

}  // namespace coat
