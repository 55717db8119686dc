#include "plan/prediction.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/load.h"
#include "engine/engine.h"
#include "tests/support/error_of.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

TrainConfig Shipped(const std::string& name, std::vector<std::string> overrides = {}) {
  overrides.emplace_back("--evaluators=[]");
  return LoadTrainConfig(COAT_SOURCE_DIR "/configs/" + name + ".yaml", overrides, {.check_paths = false});
}

Cluster Of(int ranks, const char* gpu = "h100", const char* interconnect = "") {
  return {.ranks = ranks, .gpu = FindGpu(gpu), .interconnect = FindInterconnect(interconnect, FindGpu(gpu), 8)};
}

// What step_bench measured on one H200 (docs/performance.md), where two GPUs their mean, and `coat train` on two, for
// each.
struct Measured {
  const char* config;
  std::vector<std::string> overrides;
  double tokens_per_second;
  double error;         // that docs/scaling.md states, in percent
  double reported_gib;  // of memory, by the driver; 0: not noted
  int ranks = 1;
};

const std::vector<std::string> kLeastMemory = {"--gradient_precision=bf16", "--quantize_model.group_size=128",
                                               "--quantize_model.weight_cache=codes"};

std::vector<std::string> With(std::vector<std::string> some, const std::vector<std::string>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

std::vector<Measured> MeasuredPoints() {
  // Measured with half of the room for attention's scores, where they take more than that: the other half is added.
  constexpr double kHalf = 0.5;
  const std::vector<std::string> four = {"--device_train_microbatch_size=8", "--global_train_batch_size=32"};
  const std::vector<std::string> one = {"--device_train_microbatch_size=8", "--global_train_batch_size=8"};
  const std::vector<std::string> short_sequences = {"--model.max_sequence_length=2048"};
  const std::vector<std::string> narrow = {"--gradient_precision=bf16"};
  const std::vector<std::string> sharded = {"--gradient_precision=bf16", "--quantize_model.group_size=128"};
  const std::vector<std::string> large =
      With(sharded, {"--quantize_model.weight_memory_efficient", "--device_train_microbatch_size=8"});
  return {
      {"coat/OLMo-1B-COAT-Both", With(kLeastMemory, four), 107'750, 0.1, 21.53},
      {"coat/OLMo-1B-COAT-Both", With(kLeastMemory, one), 104'000, 0.1, 0},
      {"coat/OLMo-1B-COAT-Both", With(With(kLeastMemory, four), {"--quantize_model.fast_accumulation=all"}), 109'600,
       0.7, 21.53},
      {"reproduce/OLMo-1B-reproduce", four, 76'700, 1.8, 36.34},
      {"reproduce/OLMo-1B-reproduce", With(narrow, four), 76'950, 2.0, 34.15},
      {"coat/OLMo-7B-COAT-Both",
       {"--gradient_precision=bf16", "--quantize_model.group_size=128", "--global_train_batch_size=32"},
       20'900,
       1.1,
       61.78},
      {"olmo2/OLMo2-1B-COAT-Both", With(With(kLeastMemory, four), short_sequences), 95'400, 0.9, 24.97},
      {"olmo2/OLMo2-1B", With(With(narrow, four), short_sequences), 70'600, 2.6, 40.43},
      {"coat/OLMo-1B-COAT-Both", With(sharded, {"--global_train_batch_size=256"}), 102'216, 1.3, 17.69 + kHalf, 2},
      {"coat/OLMo-1B-COAT-Both", With(sharded, {"--global_train_batch_size=256", "--fsdp.precision=pure"}), 103'360,
       1.7, 17.24 + kHalf, 2},
      {"coat/OLMo-1B-COAT-Both", With(sharded, {"--global_train_batch_size=128", "--distributed_strategy=ddp"}),
       105'705, 0.4, 0, 2},
      {"coat/OLMo-7B-COAT-Both",
       With(sharded, {"--global_train_batch_size=32", "--quantize_model.weight_memory_efficient",
                      "--device_train_microbatch_size=2"}),
       17'874, 1.9, 39.28, 2},
      {"coat/OLMo-7B-COAT-Both", With(large, {"--global_train_batch_size=32"}), 23'244, 4.7, 85.62 + kHalf},
      {"coat/OLMo-7B-COAT-Both", With(large, {"--global_train_batch_size=64"}), 21'337, 0.4, 63.51 + kHalf, 2},
      {"coat/OLMo-7B-COAT-Both", With(large, {"--global_train_batch_size=64", "--fsdp.precision=pure"}), 21'912, 1.1,
       62.37 + kHalf, 2},
      {"reproduce/OLMo-1B-reproduce", With(With(narrow, four), {"--quantize_model.use_quantize_model=fp8linear"}),
       105'300, 3.4, 34.57},
      {"reproduce/OLMo-1B-reproduce", With(With(narrow, four), {"--quantize_model.use_quantize_model=fp8deepseek"}),
       91'600, 5.1, 34.58},
  };
}

TEST(Prediction, IsWithinTheStatedErrorOfWhatWasMeasured) {
  for (const Measured& point : MeasuredPoints()) {
    const TrainConfig config = Shipped(point.config, point.overrides);
    const double predicted = Predict(config, Of(point.ranks, "h200")).TokensPerSecond();
    const double error = 100.0 * (predicted / point.tokens_per_second - 1.0);
    EXPECT_LE(std::abs(error), point.error + 0.05)
        << point.config << ": " << predicted << ", measured " << point.tokens_per_second;
  }
}

TEST(Prediction, OfMemoryIsNearWhatDriversReported) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  for (const Measured& point : MeasuredPoints()) {
    if (point.reported_gib == 0) continue;
    const Prediction prediction = Predict(Shipped(point.config, point.overrides), Of(point.ranks, "h200"));
    EXPECT_NEAR((prediction.planned + prediction.beside) / kGiB, point.reported_gib, 0.03) << point.config;
  }
}

TEST(Prediction, OfMemoryHasTheScoresOfAttentionWhereTheyAreKept) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  const auto beside = [](std::vector<std::string> overrides, const char* gpu = "h100") {
    return Predict(Shipped("coat/OLMo-1B-COAT-Both", std::move(overrides)), Of(1, gpu)).beside / kGiB;
  };
  const double without = beside({}, "a100");
  // 16 heads of 2048 x 2048 in bf16: 128 MiB a sequence.
  EXPECT_EQ(beside({"--device_train_microbatch_size=1"}), without + 0.125);
  EXPECT_EQ(beside({"--device_train_microbatch_size=8"}), without + 1.0);
  EXPECT_EQ(beside({"--device_train_microbatch_size=16"}), without + 1.0) << "in two parts";
  EXPECT_EQ(beside({"--device_train_microbatch_size=4", "--model.max_sequence_length=8192"}), without + 2.0)
      << "one sequence at the least";
  EXPECT_EQ(beside({"--data.generate_doc_lengths"}), without);
}

TEST(Prediction, OfOneRankHasNoCommunication) {
  const Prediction prediction = Predict(Shipped("coat/OLMo-1B-COAT-Both"), Of(1));
  EXPECT_EQ(prediction.time.gather, 0.0);
  EXPECT_EQ(prediction.time.reduce, 0.0);
  EXPECT_EQ(prediction.time.Exposed(), 0.0);
  EXPECT_EQ(prediction.gather, 0.0);
  EXPECT_EQ(prediction.reduce, 0.0);
  EXPECT_DOUBLE_EQ(prediction.compute, prediction.Step());
  EXPECT_DOUBLE_EQ(prediction.work.Total(), prediction.time.total) << "the parts are the whole";
}

/// The configuration under each way to share a model, with 4 replicas where there are several.
std::vector<TrainConfig> AllStrategies(TrainConfig config) {
  std::vector<TrainConfig> all;
  config.fsdp = FsdpConfig();
  config.fsdp->hybrid_sharding_num_model_replicas = 4;
  for (const auto& [strategy, name] : NamesOf(ShardingStrategy())) {
    config.fsdp->sharding_strategy = strategy;
    all.push_back(config);
  }
  config.distributed_strategy = DistributedStrategy::kDdp;
  config.ddp = DdpConfig();
  all.push_back(config);
  config.ddp->grad_sync_mode = DdpGradSyncMode::kMicroBatch;
  all.push_back(config);
  return all;
}

TEST(Prediction, NeverTakesLessTimeWithLessBandwidth) {
  for (const TrainConfig& config : AllStrategies(Shipped("coat/OLMo-1B-COAT-Both"))) {
    SCOPED_TRACE(SharingName(config));
    double last = 0.0;
    for (const char* interconnect : {"900,100", "450,50", "450,25", "300,12.5", "64,3", "10,1"}) {
      const double step = Predict(config, Of(32, "h100", interconnect)).Step();
      EXPECT_GE(step, last) << interconnect;
      last = step;
    }
    EXPECT_GT(last, Predict(config, Of(32, "h100", "900,100")).Step()) << "every strategy sends something";
  }
}

TEST(Prediction, NeverNeedsMoreMemoryWithMoreRanks) {
  for (const TrainConfig& config : AllStrategies(Shipped("coat/OLMo-1B-COAT-Both"))) {
    SCOPED_TRACE(SharingName(config));
    double last = Predict(config, Of(8)).planned;
    for (const int ranks : {16, 64, 256, 1024}) {
      const double planned = Predict(config, Of(ranks)).planned;
      EXPECT_LE(planned, last) << ranks;
      last = planned;
    }
  }
}

TEST(Prediction, IsOfTheRankThatHasMost) {
  for (TrainConfig config : {TinyConfig(), TinyOlmo2Config()}) {
    UseCoatActivations(config);
    UseCoatOptimizer(config);
    for (const int ranks : {2, 3, 8}) {
      const std::int64_t first = Engine::Measure(config, 0, ranks).Total();
      for (int rank = 1; rank < ranks; ++rank) EXPECT_LE(Engine::Measure(config, rank, ranks).Total(), first) << rank;
    }
  }
}

TEST(Prediction, SharedWeightsTakeAStepsGatherOrAMicroBatchs) {
  TrainConfig config = Shipped("coat/OLMo-1B-COAT-Both");
  const Prediction at_use = Predict(config, Of(16));
  config.fsdp->sharding_strategy = ShardingStrategy::kShardGradOp;
  const Prediction once = Predict(config, Of(16));
  EXPECT_GT(at_use.time.gather, 0.0);
  EXPECT_EQ(once.time.gather, 0.0);
  EXPECT_GT(once.gather, at_use.gather);
  EXPECT_DOUBLE_EQ(once.time.reduce, at_use.time.reduce);
  config.distributed_strategy = DistributedStrategy::kDdp;
  const Prediction ddp = Predict(config, Of(16));
  EXPECT_EQ(ddp.time.reduce, 0.0);
  EXPECT_GT(ddp.reduce, once.reduce);
  EXPECT_GT(ddp.update, 10 * once.update) << "every rank updates everything";
}

TEST(Prediction, RecomputingTakesTimeAndLessMemory) {
  TrainConfig config = Shipped("coat/OLMo-7B-COAT-Both");
  const Prediction kept = Predict(config, Of(64));
  config.activation_checkpointing = ActivationCheckpointing::kWholeLayer;
  const Prediction again = Predict(config, Of(64));
  EXPECT_LT(again.planned, kept.planned);
  // Forward again but for one of four products: between 15 and 33 % more.
  EXPECT_GT(again.time.compute, 1.15 * kept.time.compute);
  EXPECT_LT(again.time.compute, 1.33 * kept.time.compute);
}

TEST(Prediction, KnowsAnUnevenLastMicroBatch) {
  TrainConfig config = Shipped("coat/OLMo-1B-COAT-Both", {"--global_train_batch_size=88"});
  const Prediction prediction = Predict(config, Of(8));
  EXPECT_EQ(prediction.sequences, 11);
  EXPECT_EQ(prediction.micro_batches, 2);
  EXPECT_EQ(prediction.micro_batch, 8);
  EXPECT_GT(prediction.micro_batches_time, 1.3 * prediction.time.total);
  EXPECT_LT(prediction.micro_batches_time, 1.5 * prediction.time.total);
  config.global_train_batch_size = 16;
  EXPECT_EQ(Predict(config, Of(8)).micro_batch, 2) << "no more than a rank has";
}

TEST(Prediction, WithoutFp8ProductsThereIsNoGainOfSpeed) {
  const double coat = Predict(Shipped("coat/OLMo-1B-COAT-Both"), Of(8, "a100")).TokensPerSecond();
  const double plain = Predict(Shipped("reproduce/OLMo-1B-reproduce"), Of(8, "a100")).TokensPerSecond();
  EXPECT_LT(coat, plain);
  EXPECT_LT(plain, Predict(Shipped("reproduce/OLMo-1B-reproduce"), Of(8, "h100")).TokensPerSecond());
}

TEST(Prediction, RefusesWhatItCannotKnow) {
  TrainConfig config = Shipped("reproduce/OLMo-1B-reproduce", {"--precision=fp32"});
  EXPECT_NE(ErrorOf<ConfigError>([&] { Predict(config, Of(1)); }).find("precision: found fp32"), std::string::npos);
  config.precision = Precision::kAmpBf16;
  EXPECT_NE(ErrorOf<ConfigError>([&] { Predict(config, Of(7)); }).find("a multiple of 7"), std::string::npos);
  EXPECT_NE(ErrorOf<UsageError>([&] { Predict(config, Of(16, "h100", "nvlink")); }).find("one node"),
            std::string::npos);
  config.fsdp->sharding_strategy = ShardingStrategy::kHybridShard;
  EXPECT_THROW(Predict(config, Of(16)), ConfigError) << "how many replicas?";
}

TEST(Prediction, SaysThatAModelDoesNotFit) {
  const TrainConfig config = Shipped("olmo2/OLMo2-32B-COAT-Both");
  EXPECT_FALSE(Predict(config, Of(1)).Fits(FindGpu("h100")));
  EXPECT_NE(PredictionTable(config, Of(1)).find("DOES NOT FIT"), std::string::npos);
  EXPECT_TRUE(Predict(config, Of(64)).Fits(FindGpu("h100")));
}

TEST(Prediction, InJsonIsWhatTheTableSays) {
  const TrainConfig config = Shipped("coat/OLMo-1B-COAT-Both");
  const auto json = nlohmann::json::parse(PredictionJson(config, Of(64)));
  EXPECT_EQ(json["ranks"], 64);
  EXPECT_EQ(json["strategy"], "FULL_SHARD");
  ASSERT_EQ(json["plans"].size(), 2u) << "COAT as published is of one rank";
  const auto& prediction = json["prediction"];
  const Prediction same = Predict(config, Of(64));
  EXPECT_EQ(prediction["interconnect"], "ib400");
  EXPECT_EQ(prediction["fits"], true);
  EXPECT_DOUBLE_EQ(prediction["tokens_per_second"].get<double>(), 64 * same.TokensPerSecond());
  EXPECT_DOUBLE_EQ(prediction["step_seconds"]["total"].get<double>(), same.Step());
  EXPECT_FALSE(prediction["calibrated"].get<bool>());
  const auto is_calibrated = [&](const Cluster& cluster) {
    return nlohmann::json::parse(PredictionJson(config, cluster))["prediction"]["calibrated"].get<bool>();
  };
  EXPECT_TRUE(is_calibrated(Of(1, "h200")));
  EXPECT_TRUE(is_calibrated(Of(2, "h200")));
  EXPECT_TRUE(is_calibrated(Of(2, "h200", "nvlink")));
  EXPECT_FALSE(is_calibrated(Of(2, "h200", "pcie")));
  EXPECT_FALSE(is_calibrated(Of(4, "h200")));
  EXPECT_FALSE(is_calibrated(Of(1, "h100")));
  const std::string table = PredictionTable(config, Of(64));
  for (const char* part : {"64 NVIDIA H100", "8 a node", "ib400", "an estimate", "tokens/s of all", "Bound by"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << table;
  }
}

}  // namespace
}  // namespace coat
