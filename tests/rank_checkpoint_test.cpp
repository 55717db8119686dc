// The checkpoints of ranks that share a model, as threads: what any number of them saves, any other number reads.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/run_checkpoint.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

/// The bytes of tensors, whole, under their names.
using Whole = std::map<std::string, std::string>;

/// Puts this rank's part of everything that a run must find again into its place.
void AddOwn(const Engine& engine, Whole& whole) {
  const auto add = [&](const std::string& name, std::int64_t elements, Part part, ConstTensorView own) {
    std::string& bytes = whole[name];
    bytes.resize(static_cast<std::size_t>(elements * SizeOf(own.dtype())), '?');
    std::memcpy(bytes.data() + part.first * SizeOf(own.dtype()), own.data(), static_cast<std::size_t>(own.bytes()));
  };
  for (const Parameter& parameter : engine.model().parameters()) {
    add(parameter.name, parameter.shape.elements(), parameter.part, parameter.value);
  }
  const auto add_state = [&](const StateTensor& state) {
    EXPECT_EQ(state.part.count, state.tensor.elements()) << state.name;
    add(state.name, state.whole.elements(), state.part, state.tensor);
  };
  engine.optimizer().ForEachState(add_state);
  engine.clipping().ForEachState(add_state);
}

/// What the ranks have together after `body`.
Whole StateOfRanks(const TrainConfig& config, int ranks, const std::function<void(Engine&, Communicator&)>& body) {
  Whole whole;
  std::mutex mutex;
  RunAsRanks(ranks, [&](Communicator& communicator) {
    Engine engine(config, Context(DeviceKind::kCpu, 1), communicator);
    body(engine, communicator);
    const std::lock_guard<std::mutex> lock(mutex);
    AddOwn(engine, whole);
  });
  return whole;
}

void TrainTwoSteps(const TrainConfig& config, Engine& engine, Communicator& ranks) {
  engine.InitializeParameters(3);
  std::mt19937 generator(static_cast<unsigned>(ranks.rank()));
  for (int step = 1; step <= 2; ++step) {
    const auto count = static_cast<std::size_t>(config.device_train_microbatch_size * config.model.max_sequence_length);
    std::vector<std::int32_t> tokens(count);
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(generator() % 61);
    engine.TrainMicroBatch(tokens, tokens, config.device_train_microbatch_size, {.loss = 1e-3, .z = 0.0}, true);
    engine.MeasureGradients({.max_norm = std::nullopt, .max_norm_ratio = 1.0});  // so that there are averages
    engine.Update(2e-3, step);
  }
}

void Save(const std::string& folder, CheckpointKind kind, const Engine& engine) {
  CheckpointWriter writer(folder, {.step = 2, .kind = kind}, IfExists::kRefuse, engine.ranks());
  SaveTensors(engine, writer);
  writer.Commit({}, "");
}

Whole Loaded(const TrainConfig& config, const std::string& checkpoint, int ranks) {
  return StateOfRanks(config, ranks, [&](Engine& engine, Communicator&) {
    engine.InitializeParameters(4);
    const CheckpointReader reader(checkpoint);
    LoadParameters(reader, engine);
    LoadOptimizerState(reader, engine);
  });
}

TrainConfig Fsdp(TrainConfig config, ShardingStrategy strategy) {
  config.distributed_strategy = DistributedStrategy::kFsdp;
  config.fsdp = FsdpConfig{.sharding_strategy = strategy};
  if (strategy == ShardingStrategy::kHybridShard) config.fsdp->hybrid_sharding_num_model_replicas = 2;
  return config;
}

TrainConfig Ddp(TrainConfig config) {
  config.distributed_strategy = DistributedStrategy::kDdp;
  config.ddp = DdpConfig{};
  return config;
}

/// FP8 moments, and widths that no number of ranks divides well.
TrainConfig CoatConfig() {
  TrainConfig config = TinyOlmo2Config();
  UseCoatOptimizer(config);
  config.model.n_layers = 1;
  config.model.embedding_size = 67;
  return config;
}

TEST(RankCheckpoint, OfFourReadsAtOneTwoAndThreeWithEveryByte) {
  const std::vector<std::pair<std::string, TrainConfig>> configs = {
      {"coat", Fsdp(CoatConfig(), ShardingStrategy::kFullShard)},
      {"hybrid", Fsdp(CoatConfig(), ShardingStrategy::kHybridShard)},
      {"ddp", Ddp(TinyConfig())}};
  for (const auto& [name, config] : configs) {
    SCOPED_TRACE(name);
    const TempDir folder;
    const Whole saved = StateOfRanks(config, 4, [&, &config = config](Engine& engine, Communicator& ranks) {
      TrainTwoSteps(config, engine, ranks);
      Save(folder.path(), CheckpointKind::kSharded, engine);
      Save(folder.path(), CheckpointKind::kUnsharded, engine);
    });
    EXPECT_EQ(NamesIn(folder.File("step2")).size(), 4 + 4 + 2u + 2u);
    EXPECT_EQ(NamesIn(folder.File("step2-unsharded")),
              (std::set<std::string>{"model.safetensors", "optim.safetensors", "train.json", "config.yaml"}));
    for (const int ranks : {1, 2, 3}) {
      SCOPED_TRACE(ranks);
      // Two replicas need an even number.
      const bool fits = name != "hybrid" || ranks == 2;
      const TrainConfig reading = fits ? config : Fsdp(CoatConfig(), ShardingStrategy::kFullShard);
      EXPECT_TRUE(Loaded(reading, folder.File("step2"), ranks) == saved);
      EXPECT_TRUE(Loaded(reading, folder.File("step2-unsharded"), ranks) == saved);
    }
  }
}

TEST(RankCheckpoint, OfOneIsTheUnshardedOneOfAnyNumber) {
  const TempDir folder;
  const TrainConfig config = Fsdp(CoatConfig(), ShardingStrategy::kFullShard);
  StateOfRanks(config, 1, [&](Engine& engine, Communicator& ranks) {
    TrainTwoSteps(config, engine, ranks);
    Save(folder.File("one"), CheckpointKind::kSharded, engine);
  });
  StateOfRanks(config, 3, [&](Engine& engine, Communicator&) {
    const CheckpointReader reader(folder.File("one/step2"));
    LoadParameters(reader, engine);
    LoadOptimizerState(reader, engine);
    Save(folder.File("three"), CheckpointKind::kUnsharded, engine);
  });
  for (const char* const file : {"model.safetensors", "optim.safetensors", "train.json"}) {
    EXPECT_EQ(folder.Read(std::string("three/step2-unsharded/") + file), folder.Read(std::string("one/step2/") + file));
  }
}

TEST(RankCheckpoint, ThatDoesNotFitIsRefusedByAllRanksAlike) {
  const TempDir folder;
  const TrainConfig config = Fsdp(CoatConfig(), ShardingStrategy::kFullShard);
  StateOfRanks(config, 2, [&](Engine& engine, Communicator& ranks) {
    TrainTwoSteps(config, engine, ranks);
    Save(folder.path(), CheckpointKind::kSharded, engine);
  });
  TrainConfig plain = Fsdp(TinyOlmo2Config(), ShardingStrategy::kFullShard);
  plain.model = config.model;
  StateOfRanks(plain, 3, [&](Engine& engine, Communicator&) {
    const CheckpointReader reader(folder.File("step2"));
    LoadParameters(reader, engine);
    const std::string message = ErrorOf([&] { LoadOptimizerState(reader, engine); });
    ExpectParts(message, {"optim.parts.json", "which this run has not", "reset_optimizer_state"});
    EXPECT_EQ(message.find("rank "), std::string::npos) << message;
  });
  // Of three ranks the first needs the first file only, and the others wait for it no longer than that.
  std::filesystem::remove(folder.File("step2/model-00001-of-00002.safetensors"));
  StateOfRanks(config, 3, [&](Engine& engine, Communicator&) {
    ExpectParts(ErrorOf([&] { LoadParameters(CheckpointReader(folder.File("step2")), engine); }),
                {"rank 0: ", "model-00001-of-00002.safetensors", "No such file", "other rank"});
  });
}

}  // namespace
}  // namespace coat
