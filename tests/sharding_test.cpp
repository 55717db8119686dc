// Ranks that share a model, as threads: against one rank, against their own plan, and against themselves.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/memory_plan.h"
#include "tests/support/sharded_training.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

/// What one rank alone sees; once for each `model`.
const Seen& SeenAlone(const std::string& model, const TrainConfig& config) {
  static std::map<std::string, Seen> all;
  const auto [found, is_new] = all.try_emplace(model);
  if (is_new) {
    Engine engine(config, Context(DeviceKind::kCpu, 2));
    found->second = Train(config, engine, engine.ranks());
  }
  return found->second;
}

/// `late`: what ranks tell one another arrives when somebody waits for it, and no sooner.
std::vector<Seen> TrainTogether(const TrainConfig& config, int count, bool late, int micro_batches = kMicroBatches) {
  std::vector<Seen> seen(static_cast<std::size_t>(count));
  RunAsRanks(count, [&](Communicator& ranks) {
    Context ctx(DeviceKind::kCpu, 1);
    ctx.set_late(late);
    Engine engine(config, std::move(ctx), ranks);
    seen[static_cast<std::size_t>(ranks.rank())] = Train(config, engine, ranks, micro_batches);
  });
  return seen;
}

class ShardingTest : public testing::TestWithParam<ShardingCase> {};

TEST_P(ShardingTest, LearnsAsOneRankWithWhatThePlanSays) {
  const ShardingCase& with = GetParam();
  const Seen& alone = SeenAlone(with.model, with.config);
  const std::vector<Seen> together = TrainTogether(with.config, with.ranks, /*late=*/true);
  ExpectLearnedAlike(with, together, alone);
  for (int rank = 0; rank < with.ranks; ++rank) {
    ExpectMemoryAsPlanned(with.config, together[static_cast<std::size_t>(rank)], rank, with.ranks);
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, ShardingTest, testing::ValuesIn(ShardingCases()),
                         [](const auto& info) { return info.param.Name(); });

TEST(Sharding, RepeatsBitForBit) {
  for (const ShardingStrategy strategy : {ShardingStrategy::kFullShard, ShardingStrategy::kHybridShardZero2}) {
    const TrainConfig config = Fsdp(CoatConfig(true), strategy, FsdpPrecision::kPure);
    const std::vector<Seen> first = TrainTogether(config, 4, /*late=*/false);
    const std::vector<Seen> second = TrainTogether(config, 4, /*late=*/true);
    for (std::size_t rank = 0; rank < first.size(); ++rank) {
      EXPECT_EQ(first[rank].losses, second[rank].losses);
      EXPECT_EQ(first[rank].kept, second[rank].kept);
    }
  }
}

/// What a micro-batch leaves to the next one: three of a rank, and models whose last units are all there is.
TEST(Sharding, SumsWhatEveryMicroBatchLeaves) {
  constexpr int kAll = 12;
  for (const int layers : {1, 2, 3}) {
    for (const bool tied : {true, false}) {
      TrainConfig model = PlainConfig();
      model.precision = Precision::kFp32;
      model.model.n_layers = layers;
      model.model.weight_tying = tied;
      Engine engine(model, Context(DeviceKind::kCpu, 2));
      const Seen alone = Train(model, engine, engine.ranks(), kAll);
      for (const ShardingStrategy strategy : {ShardingStrategy::kFullShard, ShardingStrategy::kNoShard,
                                              ShardingStrategy::kHybridShard, ShardingStrategy::kHybridShardZero2}) {
        const TrainConfig config = Fsdp(model, strategy);
        SCOPED_TRACE(fmt::format("{} layers, {}, {}", layers, tied ? "tied" : "untied", SharingName(config)));
        const std::vector<Seen> late = TrainTogether(config, 4, /*late=*/true, kAll);
        const std::vector<Seen> early = TrainTogether(config, 4, /*late=*/false, kAll);
        ExpectLearnedAlike({.model = "fp32", .strategy = "", .config = config, .ranks = 4, .tolerance = 1e-6}, late,
                           alone);
        for (std::size_t rank = 0; rank < late.size(); ++rank) EXPECT_EQ(late[rank].kept, early[rank].kept);
      }
    }
  }
}

/// OLMo-1B with COAT in both places, as configs/coat has it.
TrainConfig OneBillion() {
  TrainConfig config = OneBillionConfig();
  config.model.weight_tying = false;
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  return config;
}

TEST(Sharding, DividesWhatIsKeptByTheNumberOfRanks) {
  const TrainConfig config = Fsdp(OneBillion(), ShardingStrategy::kFullShard, FsdpPrecision::kPure);
  const MemoryPlan alone = Engine::Measure(config);
  const MemoryPlan of_eight = Engine::Measure(config, 3, 8);
  for (const char* category : {"masters", "gradients", "moments"}) {
    EXPECT_EQ(of_eight.Bytes(category) * 8, alone.Bytes(category)) << category;
  }
  EXPECT_EQ(of_eight.Bytes("saved"), alone.Bytes("saved"));
  // Of weights only the rotary table is kept, [2048, 128] f32, and a largest magnitude for each of 66 parameters.
  EXPECT_EQ(of_eight.Bytes("weights"), 2048 * 128 * 4 + 512);
  // Two layers' codes and bf16 gradients, and the head's of the compute type: 67,108,864 and 103,022,592 parameters.
  // With the codes of four weights a layer comes a scale each.
  EXPECT_EQ(of_eight.Bytes("exchange"), 2 * 3 * 67108864 + 4 * 103022592 + 2 * 4 * Arena::kAlignment);
}

TEST(Sharding, RefusesReplicasThatDoNotDivideTheRanks) {
  TrainConfig config = Fsdp(TinyConfig(), ShardingStrategy::kHybridShard);
  config.fsdp->hybrid_sharding_num_model_replicas = 3;
  EXPECT_THROW(Engine::Measure(config, 0, 4), ConfigError);
  config.fsdp->hybrid_sharding_num_model_replicas = std::nullopt;
  EXPECT_THROW(Engine::Measure(config, 0, 4), ConfigError);
  EXPECT_GT(Engine::Measure(config, 0, 1).Total(), 0) << "one rank has nobody to share with";
}

}  // namespace
}  // namespace coat
