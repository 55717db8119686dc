#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "comm/communicator.h"

namespace coat {

/// How the ranks of a run share a model: who keeps which part of masters, gradients and moments, and when weights are
/// gathered and gradients summed ("after a micro-batch": those of the units that backward comes to last with the next
/// one or at the end of the step, see Exchange::LeaveToReduce).
///
/// |                    | shards   | replicas     | weights         | gradients summed      |
/// |--------------------|----------|--------------|-----------------|-----------------------|
/// | ddp                | 1        | all          | from the master | once a step           |
/// | NO_SHARD           | 1        | all          | from the master | after a micro-batch   |
/// | SHARD_GRAD_OP      | all      | 1            | once a step     | after a micro-batch   |
/// | FULL_SHARD         | all      | 1            | at use          | after a micro-batch   |
/// | HYBRID_SHARD       | a group  | the groups   | at use          | after a micro-batch   |
/// | _HYBRID_SHARD_ZERO2| a group  | the groups   | once a step     | after a micro-batch   |
struct Sharding {
  Communicator* shards = nullptr;      // the ranks that share one copy; null: this one alone
  Communicator* replicas = nullptr;    // the ranks that keep the same part; null: this one alone
  bool gathers_at_use = false;         // weights are gathered when a layer runs, else once a step
  bool reduces_micro_batches = false;  // gradients are summed over the ranks after each micro-batch, else once a step
  DType reduction = DType::kF32;       // of gradients that are summed after each micro-batch: f32 or bf16
  std::int64_t unit = 128;             // elements that stay together: see SharingUnit

  int shard_count() const { return shards == nullptr ? 1 : shards->size(); }
  int replica_count() const { return replicas == nullptr ? 1 : replicas->size(); }
  bool InParts() const { return shard_count() > 1; }
  bool Alone() const { return shard_count() == 1 && replica_count() == 1; }
};

}  // namespace coat
