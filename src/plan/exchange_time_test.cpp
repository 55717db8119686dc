#include "plan/exchange_time.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/rank_groups.h"
#include "models/olmo.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

ModelBytes BytesOfRun(const TrainConfig& config, int ranks) {
  const RankGroups groups(config, 0, ranks);
  return BytesOf(OlmoParameters(config.model), MakeRecipe(config), groups.sharding());
}

// A block of the tiny model: 192 x 64 + 64 x 64 + 256 x 64 + 64 x 128.
constexpr std::int64_t kBlock = 12288 + 4096 + 16384 + 8192;
// With the norms of OLMo 2, one key and value head of two, and four norms: 64 + 64, and 64 and 32 of queries and keys.
constexpr std::int64_t kOlmo2Block = 128 * 64 + 4096 + 16384 + 8192;
constexpr std::int64_t kOlmo2Norms = 64 + 64 + 64 + 32;

TEST(ModelBytes, OfALayerByHand) {
  TrainConfig config = TinyConfig();
  ModelBytes bytes = BytesOfRun(config, 4);
  EXPECT_EQ(bytes.layers, 2);
  EXPECT_EQ(bytes.block.elements, kBlock);
  EXPECT_EQ(bytes.block.gathered, 2 * kBlock) << "bf16";
  EXPECT_EQ(bytes.block.reduced, 2 * kBlock) << "fsdp.precision is pure by default: bf16";
  EXPECT_EQ(bytes.block.part_elements, kBlock / 4);
  EXPECT_EQ(bytes.embedding.gathered, 2 * 64 * 64);
  EXPECT_EQ(bytes.head.gathered, 0) << "the embedding's";
  config.fsdp->precision = FsdpPrecision::kMixed;
  EXPECT_EQ(BytesOfRun(config, 4).block.reduced, 4 * kBlock);
  UseCoatActivations(config);
  EXPECT_EQ(BytesOfRun(config, 4).block.gathered, kBlock) << "FP8 with one scale";
  config.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek;
  EXPECT_EQ(BytesOfRun(config, 4).block.gathered, 4 * kBlock) << "the master, of which blocks are made";
}

TEST(ModelBytes, OfOlmo2HaveNormsInFloat32AndAHead) {
  TrainConfig config = TinyOlmo2Config();
  UseCoatActivations(config);
  const ModelBytes bytes = BytesOfRun(config, 2);
  EXPECT_EQ(bytes.block.gathered, kOlmo2Block + 4 * kOlmo2Norms);
  EXPECT_EQ(bytes.head.gathered, 2 * 64 * 64 + 4 * 64);
  EXPECT_EQ(bytes.Whole().elements, 2 * 64 * 64 + 64 + 2 * (kOlmo2Block + kOlmo2Norms));
}

/// Two blocks and what of embedding and head is there at a time are what the memory plan has for the exchange, but for
/// scales and alignment.
void ExpectPlanned(const TrainConfig& config) {
  const ModelBytes bytes = BytesOfRun(config, 8);
  const auto both = [](const UnitBytes& unit) { return unit.gathered + unit.reduced; };
  const std::int64_t outer = config.model.weight_tying ? both(bytes.embedding) + both(bytes.head)
                                                       : std::max(both(bytes.embedding), both(bytes.head));
  const std::int64_t planned = Engine::Measure(config, 0, 8).Bytes("exchange");
  EXPECT_GE(planned, 2 * both(bytes.block) + outer);
  EXPECT_LE(planned, 2 * both(bytes.block) + outer + 64 * 1024);
}

TEST(ModelBytes, AreThoseThatRanksHaveBuffersFor) {
  for (TrainConfig config : {TinyConfig(), TinyOlmo2Config()}) {
    // Large enough that scales and alignment are little.
    config.model.d_model = 512;
    config.model.mlp_ratio = 4;
    config.model.embedding_size = 4096;
    ExpectPlanned(config);
    UseCoatActivations(config);
    ExpectPlanned(config);
    config.fsdp->precision = FsdpPrecision::kMixed;
    ExpectPlanned(config);
    config.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek;
    ExpectPlanned(config);
  }
}

TEST(ExchangeTime, IsOfWhatTheStrategyExchanges) {
  TrainConfig config = TinyConfig();
  const Gpu& gpu = FindGpu("h100");
  const Rates rates = RatesOf(gpu);
  const Interconnect interconnect = FindInterconnect("ib400", gpu, 8);
  const Recipe recipe = MakeRecipe(config);
  const auto time_of = [&](const RankGroups& groups) {
    return ExchangeTime(groups.sharding(), recipe, interconnect, rates);
  };
  const UnitBytes unit = BytesOfRun(config, 16).block;
  const RankGroups sharded(config, 0, 16);
  EXPECT_GT(time_of(sharded).Gather(unit), 0.0);
  EXPECT_GT(time_of(sharded).Reduce(unit), 0.0);
  EXPECT_EQ(time_of(sharded).ReduceStep(unit), 0.0) << "nobody keeps the same part";
  config.distributed_strategy = DistributedStrategy::kDdp;
  const RankGroups replicated(config, 0, 16);
  EXPECT_EQ(time_of(replicated).Gather(unit), 0.0) << "all have all weights";
  EXPECT_GT(time_of(replicated).ReduceStep(unit), 0.0);
  const RankGroups alone(config, 0, 1);
  EXPECT_EQ(time_of(alone).Gather(unit), 0.0);
  EXPECT_EQ(time_of(alone).Reduce(unit), 0.0);
  EXPECT_EQ(time_of(alone).ReduceStep(unit), 0.0);
  EXPECT_EQ(time_of(alone).Small(100), 0.0);
}

}  // namespace
}  // namespace coat
