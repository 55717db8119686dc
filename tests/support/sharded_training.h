#pragma once
// A few steps by ranks that share a model in every way there is, to be compared with one rank.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "tests/support/tiny_config.h"

namespace coat {

inline constexpr int kMicroBatches = 4;  // of a step, all ranks together
inline constexpr int kSteps = 6;
inline constexpr double kLearningRate = 1e-3;

struct Tokens {
  std::vector<std::int32_t> ids, labels;
};

inline Tokens RandomTokens(const TrainConfig& config, int step, int micro_batch) {
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

inline std::string BytesOf(const Context& ctx, ConstTensorView x) {
  std::string bytes(static_cast<std::size_t>(x.bytes()), '\0');
  ctx.Download(x, bytes.data());
  return bytes;
}

/// A few steps: each rank trains on its share of the micro-batches.
inline Seen Train(const TrainConfig& config, Engine& engine, Communicator& ranks, int micro_batches = kMicroBatches) {
  Seen seen;
  engine.InitializeParameters(3);
  const double tokens =
      static_cast<double>(micro_batches * config.device_train_microbatch_size * config.model.max_sequence_length);
  for (int step = 1; step <= kSteps; ++step) {
    double loss = 0.0;
    for (int i = ranks.rank(); i < micro_batches; i += ranks.size()) {
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
  for (const Parameter& parameter : engine.model().parameters())
    seen.kept.push_back(BytesOf(engine.context(), parameter.value));
  return seen;
}

/// A model, and how ranks share it.
struct ShardingCase {
  std::string model, strategy;
  TrainConfig config;
  int ranks = 2;
  double tolerance = 0.0;  // relative, of losses

  friend void PrintTo(const ShardingCase& with, std::ostream* out) { *out << with.Name(); }

  std::string Name() const {
    std::string name = model + " " + strategy + " " + std::to_string(ranks);
    for (char& c : name) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    return name;
  }
};

inline TrainConfig PlainConfig() {
  TrainConfig config = TinyConfig();
  config.device_eval_batch_size = config.device_train_microbatch_size;
  config.evaluators.emplace_back();
  return config;
}

inline TrainConfig CoatConfig(bool olmo2) {
  TrainConfig config = olmo2 ? TinyOlmo2Config() : TinyConfig();
  UseCoatActivations(config);
  UseCoatOptimizer(config);
  config.device_eval_batch_size = config.device_train_microbatch_size;
  config.evaluators.resize(2);
  config.evaluators.back().recipe = EvaluationRecipe::kTraining;
  return config;
}

inline TrainConfig Ddp(TrainConfig config, DdpGradSyncMode mode) {
  config.distributed_strategy = DistributedStrategy::kDdp;
  config.ddp = DdpConfig{.grad_sync_mode = mode};
  return config;
}

inline TrainConfig Fsdp(TrainConfig config, ShardingStrategy strategy,
                        FsdpPrecision precision = FsdpPrecision::kMixed) {
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
inline double Tolerance(const TrainConfig& config) {
  if (config.precision == Precision::kFp32) return 1e-6;
  const bool is_fp8 = config.quantize_model.use_quantize_model.has_value();
  const auto tokens =
      static_cast<double>(kMicroBatches * config.device_train_microbatch_size * config.model.max_sequence_length);
  return 4.0 * (is_fp8 ? 0x1p-4 : 0x1p-9) / std::sqrt(tokens);
}

inline std::vector<ShardingCase> ShardingCases() {
  std::vector<ShardingCase> cases;
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

/// Compares what ranks saw with what one rank saw.
inline void ExpectLearnedAlike(const ShardingCase& with, const std::vector<Seen>& together, const Seen& alone) {
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
}

/// Compares the tensors of a rank with the plan of that rank, to the byte.
inline void ExpectMemoryAsPlanned(const TrainConfig& config, const Seen& seen, int rank, int ranks) {
  const MemoryPlan plan = Engine::Measure(config, rank, ranks);
  ASSERT_EQ(plan.categories.size(), seen.used.categories.size());
  for (std::size_t i = 0; i < plan.categories.size(); ++i) {
    EXPECT_EQ(plan.categories[i].bytes, seen.used.categories[i].bytes)
        << plan.categories[i].name << " of rank " << rank;
  }
}

}  // namespace coat
