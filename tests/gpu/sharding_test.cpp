// Ranks that share a model, each with a GPU, as threads: against one GPU, against their own plan, and against
// themselves. A case of R ranks needs R GPUs.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/open_device.h"
#include "cuda/open_nccl.h"
#include "tests/support/sharded_training.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

/// All products have the bits of the library's first choice, however many GPUs there are.
Context OpenGpu(int ordinal, bool graphs) {
  return Context(cuda::OpenCudaDevice({.ordinal = ordinal, .graphs = graphs, .other_bits = false}));
}

/// What one GPU alone sees; once for each `model`.
const Seen& SeenAlone(const std::string& model, const TrainConfig& config) {
  static std::map<std::string, Seen> all;
  const auto [found, is_new] = all.try_emplace(model);
  if (is_new) {
    Engine engine(config, OpenGpu(0, /*graphs=*/true));
    found->second = Train(config, engine, engine.ranks());
  }
  return found->second;
}

std::vector<Seen> TrainTogether(const TrainConfig& config, int count, bool graphs) {
  std::vector<Seen> seen(static_cast<std::size_t>(count));
  RunAsRanks(count, [&](Communicator& host) {
    Context ctx = OpenGpu(host.rank(), graphs);
    const std::unique_ptr<Communicator> ranks = cuda::OpenNccl(host, ctx.backend());
    Engine engine(config, std::move(ctx), *ranks);
    seen[static_cast<std::size_t>(host.rank())] = Train(config, engine, *ranks);
  });
  return seen;
}

bool HasGpus(int count) {
  return cuda::CheckCudaDevice(count - 1).usable;
}

class GpuSharding : public testing::TestWithParam<ShardingCase> {};

TEST_P(GpuSharding, LearnsAsOneGpuWithWhatThePlanSays) {
  const ShardingCase& with = GetParam();
  if (!HasGpus(with.ranks)) GTEST_SKIP() << "there are fewer than " << with.ranks << " GPUs";
  const Seen& alone = SeenAlone(with.model, with.config);
  const std::vector<Seen> together = TrainTogether(with.config, with.ranks, /*graphs=*/true);
  ExpectLearnedAlike(with, together, alone);
  ExpectMemoryAsPlanned(with.config, together);
}

INSTANTIATE_TEST_SUITE_P(Strategies, GpuSharding, testing::ValuesIn(ShardingCases()),
                         [](const auto& info) { return info.param.Name(); });

TEST(GpuShardingRuns, RepeatsBitForBitWithGraphsAndWithout) {
  if (!HasGpus(2)) GTEST_SKIP() << "there are fewer than two GPUs";
  const TrainConfig config = Fsdp(CoatConfig(true), ShardingStrategy::kFullShard, FsdpPrecision::kPure);
  const std::vector<Seen> recorded = TrainTogether(config, 2, /*graphs=*/true);
  for (const bool graphs : {true, false}) {
    const std::vector<Seen> again = TrainTogether(config, 2, graphs);
    for (std::size_t rank = 0; rank < recorded.size(); ++rank) {
      EXPECT_EQ(recorded[rank].losses, again[rank].losses) << graphs;
      EXPECT_EQ(recorded[rank].kept, again[rank].kept) << graphs;
    }
  }
}

}  // namespace
}  // namespace coat
