// Ranks that share a model, as threads: against one rank, against their own plan, and against themselves.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/tiny_config.h"
#include "train/engine.h"

namespace coat {
namespace {

constexpr int kMicroBatches = 4;  // of a step, all ranks together
constexpr int kSteps = 6;
constexpr double kLearningRate = 1e-3;

struct Tokens {
  std::vector<std::int32_t> ids, labels;
};

Tokens RandomTokens(const TrainConfig& config, int step, int micro_batch) {
  std::mt19937 generator(static_cast<unsigned>(step * kMicroBatches + micro_batch));
  Tokens tokens;
  for (std::int64_t i = 0; i < config.device_train_microbatch_size * config.model.max_sequence_length; ++i) {
    tokens.ids.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(config.model.vocab_size)));
    tokens.labels.push_back(tokens.ids.back() % 7);  // there is something to learn
  }
  return tokens;
}

/// What a rank saw.
struct Seen {
  std::vector<double> losses;  // of each step, of all ranks
  std::vector<double> norms;   // of its gradients
  std::vector<float> evaluation;
  MemoryPlan used;
  std::vector<std::string> kept;  // the bytes of its masters
};

std::string BytesOf(ConstTensorView x) {
  return {x.As<char>(), static_cast<std::size_t>(x.bytes())};
}

/// A few steps: each rank trains on its share of the micro-batches.
Seen Train(const TrainConfig& config, Engine& engine, Communicator& ranks) {
  Seen seen;
  engine.InitializeParameters(3);
  const double tokens =
      static_cast<double>(kMicroBatches * config.device_train_microbatch_size * config.model.max_sequence_length);
  for (int step = 1; step <= kSteps; ++step) {
    double loss = 0.0;
    for (int i = ranks.rank(); i < kMicroBatches; i += ranks.size()) {
      const Tokens batch = RandomTokens(config, step, i);
      loss += engine
                  .TrainMicroBatch(batch.ids, batch.labels, config.device_train_microbatch_size,
                                   {.loss = 1.0 / tokens, .z = 1e-7}, i == ranks.rank())
                  .cross_entropy;
    }
    ranks.AllReduce(std::span(&loss, 1), Reduction::kSum);
    seen.losses.push_back(loss / tokens);
    seen.norms.push_back(engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt}).total_norm);
    engine.MeasureUpdate(kLearningRate, step);
    engine.Update(kLearningRate, step);
  }
  const Tokens batch = RandomTokens(config, 0, 0);
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    engine.PrepareEvaluation(evaluator.recipe);
    const auto losses = engine.EvaluateBatch(batch.ids, batch.labels, config.device_train_microbatch_size);
    seen.evaluation.insert(seen.evaluation.end(), losses.begin(), losses.end());
  }
  seen.used = engine.Used();
  for (const Parameter& parameter : engine.model().parameters()) seen.kept.push_back(BytesOf(parameter.value));
  return seen;
}

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
std::vector<Seen> TrainTogether(const TrainConfig& config, int count, bool late) {
  std::vector<Seen> seen(static_cast<std::size_t>(count));
  RunAsRanks(count, [&](Communicator& ranks) {
    Context ctx(DeviceKind::kCpu, 1);
    ctx.set_late(late);
    Engine engine(config, std::move(ctx), ranks);
    seen[static_cast<std::size_t>(ranks.rank())] = Train(config, engine, ranks);
  });
  return seen;
}

struct Case {
  std::string model, strategy;
  TrainConfig config;
  int ranks = 2;
  double tolerance = 0.0;  // relative, of losses

  friend void PrintTo(const Case& with, std::ostream* out) { *out << with.Name(); }

  std::string Name() const {
    std::string name = model + " " + strategy + " " + std::to_string(ranks);
    for (char& c : name) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    return name;
  }
};

TrainConfig PlainConfig() {
  TrainConfig config = TinyConfig();
  config.device_eval_batch_size = config.device_train_microbatch_size;
  config.evaluators.emplace_back();
  return config;
}

TrainConfig CoatConfig(bool olmo2) {
  TrainConfig config = olmo2 ? TinyOlmo2Config() : TinyConfig();
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  config.device_eval_batch_size = config.device_train_microbatch_size;
  config.evaluators.resize(2);
  config.evaluators.back().recipe = EvaluationRecipe::kTraining;
  return config;
}

TrainConfig Ddp(TrainConfig config, DdpGradSyncMode mode) {
  config.distributed_strategy = DistributedStrategy::kDdp;
  config.ddp = DdpConfig{.grad_sync_mode = mode};
  return config;
}

TrainConfig Fsdp(TrainConfig config, ShardingStrategy strategy, FsdpPrecision precision = FsdpPrecision::kMixed) {
  config.distributed_strategy = DistributedStrategy::kFsdp;
  config.fsdp = FsdpConfig{.sharding_strategy = strategy, .precision = precision};
  config.fsdp->hybrid_sharding_num_model_replicas = 2;
  return config;
}

/// How far losses may be from those of one rank, relative. Sums are in another order, so their last bits of float32
/// differ; where something is rounded to fewer bits, now and then to the other neighbor, and what follows is another
/// draw of all its roundings. A token's loss then moves by about a rounding, 2^-9 in bf16 and 2^-4 in E4M3, and the
/// mean of a step's tokens by its share of that over the root of their number; four of these, for products follow
/// products. In float32 the sums of some 1,000 terms differ by 2^-24 sqrt(1000 / 6), and a step of AdamW passes that
/// on.
double Tolerance(const TrainConfig& config) {
  if (config.precision == Precision::kFp32) return 1e-6;
  const bool is_fp8 = config.quantize_model.use_quantize_model.has_value();
  const auto tokens =
      static_cast<double>(kMicroBatches * config.device_train_microbatch_size * config.model.max_sequence_length);
  return 4.0 * (is_fp8 ? 0x1p-4 : 0x1p-9) / std::sqrt(tokens);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  TrainConfig selective = PlainConfig();  // untied, and three layers: an odd number takes turns in two buffers
  selective.model.weight_tying = false;
  selective.model.n_layers = 3;
  selective.optimizer.record_update_metrics = true;
  TrainConfig fp32 = PlainConfig();
  fp32.precision = Precision::kFp32;
  TrainConfig blocks = PlainConfig();
  blocks.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek;
  blocks.model.d_model = 128;
  TrainConfig recomputed = CoatConfig(true);
  recomputed.activation_checkpointing = ActivationCheckpointing::kOneInTwo;
  const std::vector<std::pair<std::string, TrainConfig>> models = {{"bf16", PlainConfig()},
                                                                   {"bf16 untied", selective},
                                                                   {"fp32", fp32},
                                                                   {"coat", CoatConfig(false)},
                                                                   {"coat OLMo 2 recomputed", recomputed},
                                                                   {"fp8deepseek", blocks}};
  for (const auto& [name, config] : models) {
    const double tolerance = Tolerance(config);
    for (const int ranks : {2, 4}) {
      cases.push_back({name, "ddp", Ddp(config, DdpGradSyncMode::kBatch), ranks, tolerance});
      cases.push_back({name, "FULL_SHARD", Fsdp(config, ShardingStrategy::kFullShard), ranks, tolerance});
      cases.push_back({name, "SHARD_GRAD_OP", Fsdp(config, ShardingStrategy::kShardGradOp), ranks, tolerance});
    }
    cases.push_back({name, "ddp micro_batch", Ddp(config, DdpGradSyncMode::kMicroBatch), 2, tolerance});
    cases.push_back({name, "NO_SHARD", Fsdp(config, ShardingStrategy::kNoShard), 2, tolerance});
    cases.push_back({name, "HYBRID_SHARD", Fsdp(config, ShardingStrategy::kHybridShard), 4, tolerance});
    cases.push_back({name, "HYBRID_SHARD_ZERO2", Fsdp(config, ShardingStrategy::kHybridShardZero2), 4, tolerance});
    // Gradients are rounded to bf16 twice on their way, when they are sent and when they are summed: 2^-9 each.
    cases.push_back({name, "FULL_SHARD pure", Fsdp(config, ShardingStrategy::kFullShard, FsdpPrecision::kPure), 4,
                     std::max(tolerance, 0x1p-8)});
  }
  return cases;
}

class ShardingTest : public testing::TestWithParam<Case> {};

TEST_P(ShardingTest, LearnsAsOneRankWithWhatThePlanSays) {
  const Case& with = GetParam();
  const Seen& alone = SeenAlone(with.model, with.config);
  const std::vector<Seen> together = TrainTogether(with.config, with.ranks, /*late=*/true);
  ASSERT_LT(alone.losses.back(), 0.9 * alone.losses.front()) << "nothing was learned";
  for (const Seen& seen : together) {
    // The same weights and tokens: only the sum of a few losses, in float64, is in another order.
    EXPECT_NEAR(seen.losses[0], alone.losses[0], 1e-9 * alone.losses[0]);
    for (std::size_t step = 0; step < alone.losses.size(); ++step) {
      EXPECT_NEAR(seen.losses[step], alone.losses[step], with.tolerance * alone.losses[step]) << "step " << step + 1;
      EXPECT_NEAR(seen.norms[step], alone.norms[step], 4 * with.tolerance * alone.norms[step]) << "step " << step + 1;
      EXPECT_EQ(seen.norms[step], together[0].norms[step]) << "all ranks clip alike";
    }
    ASSERT_EQ(seen.evaluation.size(), alone.evaluation.size());
    EXPECT_EQ(seen.evaluation, together[0].evaluation) << "all ranks have the same weights";
  }
  for (int rank = 0; rank < with.ranks; ++rank) {
    const MemoryPlan plan = Engine::Measure(with.config, rank, with.ranks);
    const MemoryPlan& used = together[static_cast<std::size_t>(rank)].used;
    ASSERT_EQ(plan.categories.size(), used.categories.size());
    for (std::size_t i = 0; i < plan.categories.size(); ++i) {
      EXPECT_EQ(plan.categories[i].bytes, used.categories[i].bytes) << plan.categories[i].name << " of rank " << rank;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, ShardingTest, testing::ValuesIn(Cases()),
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

/// OLMo-1B with COAT in both places, as configs/coat has it.
TrainConfig OneBillion() {
  TrainConfig config = TinyConfig();
  config.model.d_model = 2048;
  config.model.n_heads = 16;
  config.model.n_layers = 16;
  config.model.mlp_ratio = 8;
  config.model.weight_tying = false;
  config.model.max_sequence_length = 2048;
  config.model.vocab_size = 50280;
  config.model.embedding_size = 50304;
  config.device_train_microbatch_size = 8;
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
  const double exchange = 2 * 3 * 67108864.0 + 4 * 103022592.0;
  EXPECT_NEAR(static_cast<double>(of_eight.Bytes("exchange")), exchange, 1e-4 * exchange);
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
