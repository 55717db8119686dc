// The collectives between GPUs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "base/error.h"
#include "cuda/open_device.h"
#include "cuda/open_nccl.h"
#include "numerics/bfloat16.h"
#include "ops/fill.h"
#include "tests/gpu/rank_gpus.h"
#include "tests/support/error_of.h"
#include "tests/support/process_ranks.h"

namespace coat {
namespace {

constexpr std::int64_t kArenaBytes = 64 << 20;

/// What a test's rank has.
struct GpuRank {
  Communicator& ranks;
  Context& ctx;
  Arena& arena;

  /// A tensor with these values.
  template <class T>
  TensorView Tensor(DType dtype, const std::vector<T>& values) const {
    const TensorView x = arena.Tensor("x", {static_cast<std::int64_t>(values.size())}, dtype);
    ctx.Upload(values.data(), x);
    return x;
  }
  template <class T>
  std::vector<T> Values(TensorView x) const {
    std::vector<T> values(static_cast<std::size_t>(x.elements()));
    ctx.Download(x, values.data());
    return values;
  }
};

class GpuRanks : public testing::Test {
 protected:
  /// By 2 to 4 ranks.
  void Run(const std::function<void(const GpuRank&)>& body) const {
    for (int size = 2; size <= 4; ++size) {
      SCOPED_TRACE(size);
      RunAsProcesses(size, /*seconds=*/120, [&](Communicator& host) {
        Context ctx(cuda::OpenCudaDevice({.ordinal = GpuOfRank(host.rank(), size)}));
        Arena arena = Arena::Bound("operands", ctx, kArenaBytes);
        const std::unique_ptr<Communicator> ranks = cuda::OpenNccl(host, ctx.backend(), {});
        ASSERT_EQ(ranks->rank(), host.rank());
        ASSERT_EQ(ranks->size(), host.size());
        body({*ranks, ctx, arena});
      });
    }
  }
};

/// Small integers, whose sums are exact in any order, in bf16 too.
float ValueOf(int rank, std::int64_t index) {
  return static_cast<float>((index * 7 + rank * 11) % 23 - 8);
}

float SumOf(int ranks, std::int64_t index) {
  float sum = 0.0f;
  for (int rank = 0; rank < ranks; ++rank) sum += ValueOf(rank, index);
  return sum;
}

template <class T>
std::vector<T> ValuesOf(int rank, std::int64_t elements) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < elements; ++i) values.push_back(RoundTo<T>(ValueOf(rank, i)));
  return values;
}

struct Size {
  std::int64_t elements;
  std::int64_t unit;
};
// Equal parts for 2, 3 and 4 ranks, parts that are shorter, parts that are empty, nothing.
constexpr Size kSizes[] = {{12288, 128}, {12, 1}, {1000, 128}, {129, 128}, {5, 128}, {0, 1}, {1000003, 16}};

TEST_F(GpuRanks, GatherParts) {
  Run([](const GpuRank& rank) {
    for (const auto& [elements, unit] : kSizes) {
      const Arena::Scope scope(rank.arena);
      std::vector<std::uint8_t> values(static_cast<std::size_t>(elements), 255);
      const Part mine = PartOf(elements, unit, rank.ranks.rank(), rank.ranks.size());
      for (std::int64_t i = mine.first; i < mine.end(); ++i) {
        values[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 251);
      }
      const TensorView x = rank.Tensor(DType::kU8, values);
      const TensorView y = rank.Tensor(DType::kF32, std::vector<float>(3, static_cast<float>(rank.ranks.rank())));
      rank.ranks.AllGather(rank.ctx, std::vector<SharedTensor>{{x, unit}, {y, 1}});
      values = rank.Values<std::uint8_t>(x);
      for (std::int64_t i = 0; i < elements; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], i % 251) << i;
      const std::vector<float> owners = rank.Values<float>(y);
      for (std::int64_t i = 0; i < 3; ++i) {
        const Part part = PartOf(3, 1, static_cast<int>(owners[static_cast<std::size_t>(i)]), rank.ranks.size());
        EXPECT_TRUE(i >= part.first && i < part.end()) << i;
      }
    }
  });
}

template <class T>
void TestSums(const GpuRank& rank, DType dtype) {
  for (const auto& [elements, unit] : kSizes) {
    const Arena::Scope scope(rank.arena);
    const TensorView parts = rank.Tensor(dtype, ValuesOf<T>(rank.ranks.rank(), elements));
    const TensorView whole = rank.Tensor(dtype, ValuesOf<T>(rank.ranks.rank(), elements));
    rank.ranks.ReduceScatter(rank.ctx, std::vector<SharedTensor>{{parts, unit}});
    rank.ranks.AllReduce(rank.ctx, std::vector<TensorView>{whole}, Reduction::kSum);
    const std::vector<T> scattered = rank.Values<T>(parts);
    const Part mine = PartOf(elements, unit, rank.ranks.rank(), rank.ranks.size());
    for (std::int64_t i = mine.first; i < mine.end(); ++i) {
      ASSERT_EQ(ToFloat(scattered[static_cast<std::size_t>(i)]), SumOf(rank.ranks.size(), i)) << i;
    }
    const std::vector<T> reduced = rank.Values<T>(whole);
    for (std::int64_t i = 0; i < elements; ++i) {
      ASSERT_EQ(ToFloat(reduced[static_cast<std::size_t>(i)]), SumOf(rank.ranks.size(), i)) << i;
    }
  }
}

TEST_F(GpuRanks, SumInFloat32) {
  Run([](const GpuRank& rank) { TestSums<float>(rank, DType::kF32); });
}

TEST_F(GpuRanks, SumInBfloat16) {
  Run([](const GpuRank& rank) { TestSums<BFloat16>(rank, DType::kBF16); });
}

TEST_F(GpuRanks, TakeTheMaximum) {
  Run([](const GpuRank& rank) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto number = static_cast<float>(rank.ranks.rank());
    const bool is_last = rank.ranks.rank() == rank.ranks.size() - 1;
    const TensorView x = rank.Tensor(
        DType::kF32, std::vector<float>{number, -number - 1.0f, is_last ? nan : infinity,
                                        is_last ? infinity : -std::copysign(nan, 1.0f), -infinity,
                                        is_last ? 0.0f : -0.0f, number * 1e-45f, is_last ? -1e30f : -1e-30f});
    rank.ranks.AllReduce(rank.ctx, std::vector<TensorView>{x}, Reduction::kMax);
    const std::vector<float> largest = rank.Values<float>(x);
    EXPECT_EQ(largest[0], static_cast<float>(rank.ranks.size() - 1));
    EXPECT_EQ(largest[1], -1.0f);
    EXPECT_TRUE(std::isnan(largest[2]));
    EXPECT_TRUE(std::isnan(largest[3]));
    EXPECT_EQ(largest[4], -infinity);
    EXPECT_FALSE(std::signbit(largest[5]));
    EXPECT_EQ(largest[6], static_cast<float>(rank.ranks.size() - 1) * 1e-45f);
    EXPECT_EQ(largest[7], -1e-30f);
  });
}

/// Runs `collectives` on a tensor between two copies, recorded under one name: four times on other values, of which the
/// third is a replay. Element i of run r must then be expected(i, r).
void ExpectRecorded(const GpuRank& rank, std::int64_t elements, const std::function<void(TensorView)>& collectives,
                    const std::function<float(std::int64_t, int)>& expected) {
  const TensorView in = rank.arena.Tensor("in", {elements}, DType::kF32);
  const TensorView sum = rank.arena.Tensor("sum", {elements}, DType::kF32);
  const TensorView out = rank.arena.Tensor("out", {elements}, DType::kF32);
  for (int run = 0; run < 4; ++run) {
    std::vector<float> values = ValuesOf<float>(rank.ranks.rank(), elements);
    for (float& value : values) value += static_cast<float>(run);
    rank.ctx.Upload(values.data(), in);
    rank.ctx.Recorded("collectives", 1, [&] {
      rank.ctx.Copy(in, sum);
      collectives(sum);
      rank.ctx.Copy(sum, out);
    });
    const std::vector<float> found = rank.Values<float>(out);
    for (std::int64_t i = 0; i < elements; ++i) {
      ASSERT_EQ(found[static_cast<std::size_t>(i)], expected(i, run)) << run << " " << i;
    }
  }
}

// The copies are the work that a collective is in order with.
TEST_F(GpuRanks, AreRecordedInOrderWithOtherWork) {
  Run([](const GpuRank& rank) {
    const int count = rank.ranks.size();
    ExpectRecorded(
        rank, 1 << 20,
        [&](TensorView sum) { rank.ranks.AllReduce(rank.ctx, std::vector<TensorView>{sum}, Reduction::kSum); },
        [&](std::int64_t i, int run) { return SumOf(count, i) + static_cast<float>(run * count); });
  });
}

// What runs beside sees what was called before, and what is called behind WaitFor sees it: in replays too.
TEST_F(GpuRanks, MoveTensorsBesideOtherWork) {
  Run([](const GpuRank& rank) {
    const int count = rank.ranks.size();
    ExpectRecorded(
        rank, 1 << 22,
        [&](TensorView sum) {
          const auto reduce_beside = [&](Reduction reduction) {
            return rank.ctx.Beside(
                [&, reduction] { rank.ranks.AllReduce(rank.ctx, std::vector<TensorView>{sum}, reduction); });
          };
          for (int time = 0; time < 20; ++time) reduce_beside(Reduction::kMax);  // more often than a device keeps ends
          rank.ctx.WaitFor(reduce_beside(Reduction::kSum));
        },
        [&](std::int64_t i, int run) {
          float largest = -INFINITY;
          for (int other = 0; other < count; ++other) largest = std::max(largest, ValueOf(other, i));
          return static_cast<float>(count) * (largest + static_cast<float>(run));
        });
  });
}

TEST_F(GpuRanks, SplitAndTalk) {
  Run([](const GpuRank& rank) {
    EXPECT_EQ(rank.ranks.AllGatherText(std::to_string(rank.ranks.rank())).back(),
              std::to_string(rank.ranks.size() - 1));
    std::vector<double> count = {1.0};
    rank.ranks.AllReduce(count, Reduction::kSum);
    EXPECT_EQ(count[0], rank.ranks.size());

    const std::unique_ptr<Communicator> all = rank.ranks.Split(5);
    const std::unique_ptr<Communicator> alone = rank.ranks.Split(rank.ranks.rank());
    EXPECT_EQ(alone->size(), 1);
    const TensorView x = rank.Tensor(DType::kF32, std::vector<float>{1.0f});
    alone->AllReduce(rank.ctx, std::vector<TensorView>{x}, Reduction::kSum);
    EXPECT_EQ(rank.Values<float>(x)[0], 1.0f);
    all->AllReduce(rank.ctx, std::vector<TensorView>{x}, Reduction::kSum);
    EXPECT_EQ(rank.Values<float>(x)[0], static_cast<float>(rank.ranks.size()));
  });
}

// Rank 1 leaves out the last of some collectives: where NCCL connects the ranks, behind that, and in a replay.
TEST_F(GpuRanks, GiveUpARankThatNeitherComesNorEnds) {
  for (const int times : {1, 2, 4}) {
    SCOPED_TRACE(times);
    RunAsProcesses(2, /*seconds=*/60, [&](Communicator& host) {
      Context ctx(cuda::OpenCudaDevice({.ordinal = GpuOfRank(host.rank(), host.size())}));
      Arena arena = Arena::Bound("operands", ctx, kArenaBytes);
      const TensorView x = arena.Tensor("x", {1 << 20}, DType::kF32);
      const TensorView y = arena.Tensor("y", {1}, DType::kF32);
      const std::string error = ErrorOf<CommError>([&] {
        const std::unique_ptr<Communicator> ranks = cuda::OpenNccl(host, ctx.backend(), {.warning = 1.0, .end = 2.0});
        for (int time = 0; time < times - host.rank(); ++time) {
          ctx.Recorded("sum", 0, [&] { ranks->AllReduce(ctx, std::vector<TensorView>{x}, Reduction::kSum); });
          // More than a driver queues: the host is to wait where that is seen.
          for (int i = 0; i < 5000; ++i) Fill(ctx, {.x = y, .value = 1.0f});
          GpuRank{*ranks, ctx, arena}.Values<float>(x);
        }
        if (host.rank() == 0) ranks->AllGatherText("");
        host.AllGatherText("rank 0 has given up");
        throw CommError("rank 1 ends as after an error");
      });
      if (host.rank() == 1) return;
      EXPECT_NE(error.find("rank 0 of 2: has waited 2 s for its GPU"), std::string::npos) << error;
      host.AllGatherText("rank 0 has given up");
    });
  }
}

TEST_F(GpuRanks, RefuseWhatTheyCannotMove) {
  Run([](const GpuRank& rank) {
    Context cpu(DeviceKind::kCpu, 1);
    std::vector<float> values(8);
    const TensorView on_cpu(values.data(), {8}, DType::kF32, DeviceKind::kCpu);
    ExpectParts(ErrorOf<ArgumentError>([&] {
                  rank.ranks.AllGather(cpu, std::vector<SharedTensor>{{on_cpu, 1}});
                }),
                {"[8] f32 on cpu"});
    const TensorView codes = rank.Tensor(DType::kU8, std::vector<std::uint8_t>(8));
    ExpectParts(ErrorOf<ArgumentError>([&] {
                  rank.ranks.ReduceScatter(rank.ctx, std::vector<SharedTensor>{{codes, 1}});
                }),
                {"the sum of u8"});
  });
}

}  // namespace
}  // namespace coat
