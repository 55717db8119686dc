#pragma once

#include <memory>

#include "comm/communicator.h"
#include "config/config.h"
#include "models/sharding.h"

namespace coat {

/// The ranks of a run in groups, as a configuration shares the model among them.
///
/// A group of ranks that follow one another shares one copy: all of them with fsdp's FULL_SHARD and SHARD_GRAD_OP, one
/// of fsdp.hybrid_sharding_num_model_replicas equal groups with HYBRID_SHARD and _HYBRID_SHARD_ZERO2, and each rank is
/// one with NO_SHARD and ddp.
class RankGroups {
 public:
  /// A call of all ranks; `ranks` must stay valid. Throws ConfigError when the number of replicas is missing or does
  /// not divide the number of ranks.
  RankGroups(const TrainConfig& config, Communicator& ranks);
  /// To measure what rank `rank` of `count` needs, without the others.
  RankGroups(const TrainConfig& config, int rank, int count);

  /// Valid while this object is.
  const Sharding& sharding() const { return sharding_; }

 private:
  std::unique_ptr<Communicator> shards_;    // null: this rank alone, or all
  std::unique_ptr<Communicator> replicas_;  // likewise
  Sharding sharding_;
};

}  // namespace coat
