// Ranks on GPUs that share a model: against one alone, against their own plan, and against themselves.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cuda/open_device.h"
#include "cuda/open_nccl.h"
#include "tests/gpu/rank_gpus.h"
#include "tests/support/process_ranks.h"
#include "tests/support/sharded_training.h"

namespace coat {
namespace {

constexpr unsigned kSeconds = 240;

/// All products have the bits of the library's first choice, however many GPUs there are.
Context OpenGpu(int ordinal, bool graphs) {
  return Context(cuda::OpenCudaDevice({.ordinal = ordinal, .graphs = graphs, .other_bits = false}));
}

Seen TrainAlone(const TrainConfig& config, int ordinal) {
  Engine engine(config, OpenGpu(ordinal, /*graphs=*/true));
  return Train(config, engine, engine.ranks());
}

Seen TrainTogether(const TrainConfig& config, Communicator& host, bool graphs) {
  Context ctx = OpenGpu(GpuOfRank(host.rank(), host.size()), graphs);
  const std::unique_ptr<Communicator> ranks = cuda::OpenNccl(host, ctx.backend(), {});
  Engine engine(config, std::move(ctx), *ranks);
  return Train(config, engine, *ranks);
}

std::string TextOf(const Seen& seen) {
  std::string text;
  for (const double norm : seen.norms) text += fmt::format("{:a} ", norm);
  for (const float loss : seen.evaluation) text += fmt::format("{:a} ", loss);
  return text;
}

class GpuSharding : public testing::TestWithParam<int> {};

TEST_P(GpuSharding, LearnsAsOneGpuWithWhatThePlanSays) {
  for (const ShardingCase& with : ShardingCases()) {
    if (with.ranks != GetParam()) continue;
    SCOPED_TRACE(with.Name());
    RunAsProcesses(with.ranks, kSeconds, [&](Communicator& host) {
      const Seen alone = TrainAlone(with.config, GpuOfRank(host.rank(), host.size()));
      const Seen own = TrainTogether(with.config, host, /*graphs=*/true);
      ExpectLearnedAlike(with, {own}, alone);
      ExpectMemoryAsPlanned(with.config, own, host.rank(), host.size());
      EXPECT_EQ(host.AllGatherText(TextOf(own)).front(), TextOf(own))
          << "norms and evaluation are the same on all ranks";
    });
  }
}

TEST_P(GpuSharding, RepeatsBitForBitWithGraphsAndWithout) {
  const TrainConfig config = Fsdp(CoatConfig(true), ShardingStrategy::kFullShard, FsdpPrecision::kPure);
  RunAsProcesses(GetParam(), kSeconds, [&](Communicator& host) {
    const Seen first = TrainTogether(config, host, /*graphs=*/true);
    for (const bool graphs : {true, false}) {
      const Seen again = TrainTogether(config, host, graphs);
      EXPECT_EQ(first.losses, again.losses) << graphs;
      EXPECT_EQ(first.kept, again.kept) << graphs;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, GpuSharding, testing::Values(2, 4));

}  // namespace
}  // namespace coat
