// The keys that say how several ranks train one model.

#include <fmt/core.h>

#include <string>

#include "config/checker.h"

namespace coat {

namespace {

/// "1, 2, 4" for 4.
std::string DivisorsOf(int number) {
  std::string text;
  for (int divisor = 1; divisor <= number; ++divisor) {
    if (number % divisor == 0) text += fmt::format("{}{}", text.empty() ? "" : ", ", divisor);
  }
  return text;
}

}  // namespace

void CheckRanks(const TrainConfig& config, int ranks, ConfigChecker& checker) {
  if (ranks == 1) return;
  if (config.distributed_strategy == DistributedStrategy::kSingle) {
    checker.Fail("distributed_strategy", fmt::format("found single; accepted with {} ranks: ddp, fsdp", ranks));
  }
  if (config.distributed_strategy != DistributedStrategy::kFsdp) return;
  const FsdpConfig fsdp = config.fsdp.value_or(FsdpConfig());
  if (!IsHybrid(fsdp.sharding_strategy) || !fsdp.hybrid_sharding_num_model_replicas) return;
  const std::int64_t replicas = *fsdp.hybrid_sharding_num_model_replicas;
  if (replicas >= 1 && ranks % replicas == 0) return;
  checker.Fail("fsdp.hybrid_sharding_num_model_replicas",
               fmt::format("found {}; accepted with {} ranks: {}", replicas, ranks, DivisorsOf(ranks)));
}

}  // namespace coat
