#include "engine/rank_groups.h"

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "comm/solo.h"

namespace coat {

namespace {

ShardingStrategy StrategyOf(const TrainConfig& config) {
  if (config.distributed_strategy != DistributedStrategy::kFsdp) return ShardingStrategy::kNoShard;
  return config.fsdp.value_or(FsdpConfig{}).sharding_strategy;
}

/// How many of `count` ranks share one copy of the model.
int ShardCount(const TrainConfig& config, int count) {
  const ShardingStrategy strategy = StrategyOf(config);
  if (count == 1 || strategy == ShardingStrategy::kNoShard) return 1;
  if (!IsHybrid(strategy)) return count;
  constexpr const char* kKey = "fsdp.hybrid_sharding_num_model_replicas";
  const std::optional<std::int64_t> replicas = config.fsdp->hybrid_sharding_num_model_replicas;
  if (!replicas) {
    throw ConfigError(
        fmt::format("{}: missing; accepted with {}: how many copies of the model {} ranks keep, a divisor "
                    "of that number",
                    kKey, NameOf(strategy), count));
  }
  if (*replicas < 1 || count % *replicas != 0) {
    throw ConfigError(
        fmt::format("{}: found {}; accepted: a divisor of the number of ranks, {}", kKey, *replicas, count));
  }
  return count / static_cast<int>(*replicas);
}

/// When weights are gathered and gradients summed, and how.
Sharding ScheduleOf(const TrainConfig& config) {
  const bool fsdp = config.distributed_strategy == DistributedStrategy::kFsdp;
  const ShardingStrategy strategy = StrategyOf(config);
  Sharding sharding;
  sharding.gathers_at_use = strategy == ShardingStrategy::kFullShard || strategy == ShardingStrategy::kHybridShard;
  sharding.reduces_micro_batches =
      fsdp || config.ddp.value_or(DdpConfig{}).grad_sync_mode == DdpGradSyncMode::kMicroBatch;
  const bool pure = fsdp && config.fsdp.value_or(FsdpConfig{}).precision == FsdpPrecision::kPure;
  sharding.reduction = pure && config.precision != Precision::kFp32 ? DType::kBF16 : DType::kF32;
  const bool fp8_moments = config.quantize_optimizer.use_quantize_optimizer.has_value();
  sharding.unit = SharingUnit(fp8_moments ? config.quantize_optimizer.qgroup_size : 1);
  return sharding;
}

}  // namespace

RankGroups::RankGroups(const TrainConfig& config, Communicator& ranks) : sharding_(ScheduleOf(config)) {
  const int shards = ShardCount(config, ranks.size());
  if (ranks.size() == 1) return;
  if (shards == ranks.size()) {
    sharding_.shards = &ranks;
  } else if (shards == 1) {
    sharding_.replicas = &ranks;
  } else {
    shards_ = ranks.Split(ranks.rank() / shards);
    replicas_ = ranks.Split(ranks.rank() % shards);
    sharding_.shards = shards_.get();
    sharding_.replicas = replicas_.get();
  }
}

RankGroups::RankGroups(const TrainConfig& config, int rank, int count) : sharding_(ScheduleOf(config)) {
  const int shards = ShardCount(config, count);
  if (shards > 1) shards_ = MakeMeasuring(rank % shards, shards);
  if (shards < count) replicas_ = MakeMeasuring(rank / shards, count / shards);
  sharding_.shards = shards_.get();
  sharding_.replicas = replicas_.get();
}

}  // namespace coat
