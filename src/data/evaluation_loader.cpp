#include "data/evaluation_loader.h"

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "data/order.h"

namespace coat {

EvaluationLoader::EvaluationLoader(const MemMapDataset& dataset, const EvaluationOptions& options)
    : dataset_(dataset), options_(options), sequence_count_(dataset.sequence_count()) {
  COAT_REQUIRE(options.batch_size > 0 && options.world_size > 0,
               "batch_size is {}, world_size {}; each must be positive", options.batch_size, options.world_size);
  COAT_REQUIRE(options.rank >= 0 && options.rank < options.world_size, "rank is {} of {}", options.rank,
               options.world_size);
  COAT_REQUIRE(options.subset_num_batches == -1 || options.subset_num_batches > 0,
               "subset_num_batches is {}; it must be positive, or -1 for all of the data", options.subset_num_batches);
  const std::int64_t global_batch_size = options.batch_size * options.world_size;
  batch_count_ = (sequence_count_ + global_batch_size - 1) / global_batch_size;
  if (options.subset_num_batches == -1 || options.subset_num_batches >= batch_count_) {
    return;
  }
  batch_count_ = options.subset_num_batches;
  sequence_count_ = batch_count_ * global_batch_size;
  subset_ = BuildOrder({.seed = options.seed, .sequence_count = dataset.sequence_count()});
  subset_.resize(static_cast<std::size_t>(sequence_count_));
  subset_.shrink_to_fit();
  std::sort(subset_.begin(), subset_.end());
}

const Batch* EvaluationLoader::Next() {
  if (next_batch_ == batch_count_) {
    next_batch_ = 0;
    return nullptr;
  }
  const std::int64_t global_batch_size = options_.batch_size * options_.world_size;
  const std::int64_t first = next_batch_ * global_batch_size;
  const std::int64_t end = std::min(first + global_batch_size, sequence_count_);
  batch_.indices.clear();
  for (std::int64_t entry = first + options_.rank; entry < end; entry += options_.world_size) {
    batch_.indices.push_back(subset_.empty() ? entry : subset_[static_cast<std::size_t>(entry)]);
  }
  ReadBatch(dataset_, batch_);
  ++next_batch_;
  return &batch_;
}

}  // namespace coat
