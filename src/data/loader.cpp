#include "data/loader.h"

#include "base/error.h"
#include "base/start_thread.h"
#include "data/order.h"

namespace coat {

DataLoader::DataLoader(const MemMapDataset& dataset, const LoaderOptions& options, DataPosition start)
    : dataset_(dataset), options_(options) {
  COAT_REQUIRE(options.global_batch_size > 0 && options.world_size > 0 && options.prefetch_batches > 0,
               "global_batch_size is {}, world_size {}, prefetch_batches {}; each must be positive",
               options.global_batch_size, options.world_size, options.prefetch_batches);
  COAT_REQUIRE(options.rank >= 0 && options.rank < options.world_size, "rank is {} of {}", options.rank,
               options.world_size);
  COAT_REQUIRE(options.fast_forward_batches >= 0, "fast_forward_batches is {}; it must not be negative",
               options.fast_forward_batches);
  if (options.global_batch_size % options.world_size != 0) {
    throw ConfigError(fmt::format("global_train_batch_size is {}; it must be a multiple of the {} ranks",
                                  options.global_batch_size, options.world_size));
  }
  epoch_size_ = OrderSize(
      {.sequence_count = dataset.sequence_count(), .world_size = options.world_size, .drop_last = options.drop_last});
  if (epoch_size_ < options.global_batch_size) {
    throw ConfigError(
        fmt::format("the training data hold {} sequences of {} tokens; one global batch "
                    "(global_train_batch_size) needs {}",
                    epoch_size_, dataset.sequence_length(), options.global_batch_size));
  }
  if (start.epoch < 0 || start.examples_seen_this_epoch < 0 || start.examples_seen_this_epoch > epoch_size_) {
    throw ConfigError(
        fmt::format("the run stopped after {} sequences of epoch {}; the training data hold {} sequences, "
                    "so they are not those of that run",
                    start.examples_seen_this_epoch, start.epoch, epoch_size_));
  }
  position_ = Skip(start, options.fast_forward_batches);
  ring_.resize(static_cast<std::size_t>(options.prefetch_batches) + 1);
  reader_ = StartThread("reading ahead",
                        [this] { return std::jthread([this](const std::stop_token& stop) { ReadAhead(stop); }); });
}

DataPosition DataLoader::Skip(DataPosition position, std::int64_t batches) const {
  const std::int64_t left = (epoch_size_ - position.examples_seen_this_epoch) / options_.global_batch_size;
  if (batches <= left) {
    position.examples_seen_this_epoch += batches * options_.global_batch_size;
    return position;
  }
  batches -= left;
  return {.epoch = position.epoch + 1 + batches / batches_per_epoch(),
          .examples_seen_this_epoch = batches % batches_per_epoch() * options_.global_batch_size};
}

bool DataLoader::EpochIsOver(DataPosition position) const {
  return epoch_size_ - position.examples_seen_this_epoch < options_.global_batch_size;
}

const Batch& DataLoader::Next() {
  {
    std::unique_lock lock(mutex_);
    held_ = 0;
    changed_.notify_all();
    changed_.wait(lock, [this] { return filled_ > 0 || failure_ != nullptr; });
    if (filled_ == 0) {
      std::rethrow_exception(failure_);
    }
    --filled_;
    held_ = 1;
  }
  const Batch& batch = ring_[next_];
  next_ = (next_ + 1) % ring_.size();
  if (EpochIsOver(position_)) {
    position_ = {.epoch = position_.epoch + 1, .examples_seen_this_epoch = 0};
  }
  position_.examples_seen_this_epoch += options_.global_batch_size;
  return batch;
}

void DataLoader::ReadAhead(const std::stop_token& stop) {
  try {
    std::vector<std::uint32_t> order;
    std::int64_t order_epoch = -1;
    DataPosition position = position_;  // as the constructor left it: Next waits for the first batch before it moves
    for (std::size_t slot = 0;; slot = (slot + 1) % ring_.size()) {
      if (EpochIsOver(position)) {
        position = {.epoch = position.epoch + 1, .examples_seen_this_epoch = 0};
      }
      if (order_epoch != position.epoch) {
        order_epoch = position.epoch;
        order = BuildOrder({.seed = options_.seed,
                            .epoch = order_epoch,
                            .sequence_count = dataset_.sequence_count(),
                            .world_size = options_.world_size,
                            .drop_last = options_.drop_last});
      }
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [this] { return filled_ + held_ < ring_.size(); })) {
          return;
        }
      }
      Batch& batch = ring_[slot];
      batch.epoch = position.epoch;
      batch.indices.resize(static_cast<std::size_t>(options_.global_batch_size / options_.world_size));
      std::int64_t entry = position.examples_seen_this_epoch + options_.rank;
      for (std::int64_t& index : batch.indices) {
        index = order[static_cast<std::size_t>(entry)];
        entry += options_.world_size;
      }
      ReadBatch(dataset_, batch);
      position.examples_seen_this_epoch += options_.global_batch_size;
      {
        const std::lock_guard lock(mutex_);
        ++filled_;
      }
      changed_.notify_all();
    }
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    changed_.notify_all();
  }
}

}  // namespace coat
