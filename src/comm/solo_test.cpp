#include "comm/solo.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/context.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

TEST(Solo, LeavesEverythingAsItIs) {
  const std::unique_ptr<Communicator> solo = MakeSolo();
  EXPECT_EQ(solo->rank(), 0);
  EXPECT_EQ(solo->size(), 1);
  Context ctx(DeviceKind::kCpu, 1);
  std::vector<float> values = {1.0f, 2.0f, 3.0f};
  const TensorView tensor(values.data(), {3}, DType::kF32, DeviceKind::kCpu);
  solo->AllGather(ctx, std::vector<SharedTensor>{{tensor, 1}});
  solo->ReduceScatter(ctx, std::vector<SharedTensor>{{tensor, 1}});
  solo->AllReduce(ctx, std::vector<TensorView>{tensor}, Reduction::kSum);
  EXPECT_EQ(values, (std::vector<float>{1.0f, 2.0f, 3.0f}));
  std::vector<double> host = {0.25};
  solo->AllReduce(host, Reduction::kSum);
  EXPECT_EQ(host, std::vector<double>{0.25});
  EXPECT_EQ(solo->AllGatherText("text"), std::vector<std::string>{"text"});
  solo->Barrier();
  EXPECT_EQ(solo->Split(3)->size(), 1);
}

TEST(SoloDeathTest, AbortEndsTheProcess) {
  EXPECT_EXIT(MakeSolo()->Abort(7), testing::ExitedWithCode(7), "");
}

TEST(Measuring, StandsForARankAndComputesNothing) {
  const std::unique_ptr<Communicator> measuring = MakeMeasuring(2, 8);
  EXPECT_EQ(measuring->rank(), 2);
  EXPECT_EQ(measuring->size(), 8);
  Context meta(DeviceKind::kMeta);
  const TensorView tensor(nullptr, {4}, DType::kF32, DeviceKind::kMeta);
  measuring->AllGather(meta, std::vector<SharedTensor>{{tensor, 1}});
  measuring->ReduceScatter(meta, std::vector<SharedTensor>{{tensor, 1}});
  measuring->AllReduce(meta, std::vector<TensorView>{tensor}, Reduction::kSum);
  EXPECT_EQ(measuring->AllGatherText("a"), std::vector<std::string>(8, "a"));

  Context cpu(DeviceKind::kCpu, 1);
  std::vector<float> values(4);
  const TensorView on_cpu(values.data(), {4}, DType::kF32, DeviceKind::kCpu);
  ExpectParts(ErrorOf<ArgumentError>([&] {
                measuring->AllGather(cpu, std::vector<SharedTensor>{{on_cpu, 1}});
              }),
              {"only measures"});
  ExpectParts(ErrorOf<ArgumentError>([&] { measuring->Split(0); }), {"only measures"});
}

}  // namespace
}  // namespace coat
