#include "data/evaluation_loader.h"

#include <algorithm>
#include <cstddef>

#include "base/divide.h"
#include "base/error.h"
#include "data/order.h"

namespace coat {

EvaluationLoader::EvaluationLoader(const MemMapDataset& dataset, const EvaluationOptions& options)
    : dataset_(dataset), options_(options), sequence_count_(dataset.sequence_count()) {
  COAT_REQUIRE(options.batch_size > 0, "batch_size is {}; it must be positive", options.batch_size);
  COAT_REQUIRE(options.subset_num_batches == -1 || options.subset_num_batches > 0,
               "subset_num_batches is {}; it must be positive, or -1 for all of the data", options.subset_num_batches);
  batch_count_ = DivideUp(sequence_count_, options.batch_size);
  if (options.subset_num_batches == -1 || options.subset_num_batches >= batch_count_) {
    return;
  }
  batch_count_ = options.subset_num_batches;
  sequence_count_ = batch_count_ * options.batch_size;
  subset_ = BuildOrder({.seed = options.seed, .sequence_count = dataset.sequence_count()});
  subset_.resize(static_cast<std::size_t>(sequence_count_));
  subset_.shrink_to_fit();
  std::sort(subset_.begin(), subset_.end());
}

/// Those of batch `index`, as the indices of batch_.
void EvaluationLoader::ChooseSequences(std::int64_t index) {
  COAT_REQUIRE(index >= 0 && index < batch_count_, "batch {} of {}", index, batch_count_);
  const std::int64_t first = index * options_.batch_size;
  const std::int64_t end = std::min(first + options_.batch_size, sequence_count_);
  batch_.indices.clear();
  for (std::int64_t entry = first; entry < end; ++entry) {
    batch_.indices.push_back(subset_.empty() ? entry : subset_[static_cast<std::size_t>(entry)]);
  }
}

const Batch& EvaluationLoader::Read(std::int64_t index) {
  ChooseSequences(index);
  ReadBatch(dataset_, batch_);
  return batch_;
}

void EvaluationLoader::Check(std::int64_t index) {
  ChooseSequences(index);
  const std::vector<std::int64_t>& indices = batch_.indices;
  for (std::size_t begin = 0, end = 0; begin < indices.size(); begin = end) {
    end = begin + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;  // read in one piece
    dataset_.CheckSequences(indices[begin], static_cast<std::int64_t>(end - begin));
  }
}

}  // namespace coat
