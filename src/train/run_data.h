#pragma once

#include <cstdint>
#include <memory>

#include "checkpoint/trainer_state.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "data/dataset.h"
#include "data/loader.h"

namespace coat {

/// The batches of a run, from the place that its state has in the data. The state keeps the place.
class RunData {
 public:
  /// Leaves out `batches_to_skip` global batches. All ranks make it together, and all throw what one does, as
  /// DataLoader. `config` and `dataset` must stay valid.
  RunData(const TrainConfig& config, const MemMapDataset& dataset, std::int64_t batches_to_skip, Communicator& ranks,
          TrainerState& state);

  std::int64_t batches_per_epoch() const { return loader_->batches_per_epoch(); }
  /// This rank's part of the next step's batch, which `state` then counts: its step, sequences, tokens and place.
  /// Throws as DataLoader::Next.
  const Batch& Next(TrainerState& state);

 private:
  void KeepPlace(TrainerState& state) const;

  const TrainConfig& config_;
  std::unique_ptr<DataLoader> loader_;
};

}  // namespace coat
