#include "train/run_data.h"

#include <algorithm>

#include "comm/agreement.h"
#include "data/order.h"
#include "train/run_schedule.h"

namespace coat {

RunData::RunData(const TrainConfig& config, const MemMapDataset& dataset, std::int64_t batches_to_skip,
                 Communicator& ranks, TrainerState& state)
    : config_(config) {
  LoaderOptions options;
  options.seed = static_cast<std::uint64_t>(config.data.seed.value_or(config.seed));
  options.global_batch_size = config.global_train_batch_size;
  options.rank = ranks.rank();
  options.world_size = ranks.size();
  options.drop_last = config.data.drop_last;
  options.fast_forward_batches = batches_to_skip;
  const auto epoch_size = [&](std::int64_t rank_count) {
    return OrderSize(
        {.sequence_count = dataset.sequence_count(), .world_size = rank_count, .drop_last = config.data.drop_last});
  };
  DataPosition start = {state.epoch, state.examples_seen_this_epoch};
  // The ranks that saved may have filled up the end of the epoch by more sequences than these do.
  if (start.examples_seen_this_epoch <= epoch_size(state.world_size)) {
    start.examples_seen_this_epoch = std::min(start.examples_seen_this_epoch, epoch_size(ranks.size()));
  }
  loader_ = MadeTogether(ranks, [&] { return std::make_unique<DataLoader>(dataset, options, start); });
  KeepPlace(state);
}

const Batch& RunData::Next(TrainerState& state) {
  const Batch& batch = loader_->Next();
  state.step += 1;
  state.examples_seen += config_.global_train_batch_size;
  state.tokens_seen += TokensPerStep(config_);
  KeepPlace(state);
  return batch;
}

void RunData::KeepPlace(TrainerState& state) const {
  state.epoch = loader_->position().epoch;
  state.examples_seen_this_epoch = loader_->position().examples_seen_this_epoch;
}

}  // namespace coat
