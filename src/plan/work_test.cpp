// Against the times of docs/performance.md, "Where the time goes" and "Kernels": OLMo-1B on one H200, 16,384 tokens.

#include "plan/work.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"

namespace coat {
namespace {

constexpr std::int64_t kTokens = 16384;
constexpr std::int64_t kParameters = 1'176'764'416;

class WorkOfOlmo1B : public testing::Test {
 protected:
  TrainConfig config_ = LoadTrainConfig(
      COAT_SOURCE_DIR "/configs/coat/OLMo-1B-COAT-Both.yaml",
      std::vector<std::string>{"--evaluators=[]", "--gradient_precision=bf16", "--quantize_model.group_size=128",
                               "--quantize_model.weight_cache=codes"},
      {.check_paths = false});
  Recipe recipe_ = MakeRecipe(config_);
  Rates rates_ = RatesOf(FindGpu("h200"));
  ModelWork work_ = ModelWork(config_, recipe_, rates_, /*gathered=*/false);
};

/// Within so many percent.
void ExpectNear(double seconds, double measured, double percent) {
  EXPECT_NEAR(seconds, measured, measured * percent / 100.0);
}

TEST_F(WorkOfOlmo1B, OfABlockIsWhatItsKernelsTook) {
  const WorkTime forward = work_.BlockForward(kTokens);
  const WorkTime backward = work_.BlockBackward(kTokens);
  ExpectNear(forward.passes, 647e-6, 2);
  ExpectNear(backward.passes, 969e-6, 2);
  ExpectNear(forward.attention, 256e-6, 1);
  ExpectNear(backward.attention, 978e-6, 1);
  ExpectNear(forward.products + backward.products, 78.7e-3 / 16, 2);
  EXPECT_EQ(forward.weights, 0.0) << "codes are kept";
  ExpectNear(backward.weights, 0.6e-3 / 16, 5);
}

TEST_F(WorkOfOlmo1B, OfTheEndsAndOfAStepIsWhatTheirKernelsTook) {
  const WorkTime head = work_.Head(kTokens);
  // The final norm, 0.13 ms, and the weight in bf16, 0.15 ms, are not in what was measured.
  ExpectNear(head.Total(), 15.3e-3 + 0.28e-3, 1);
  ExpectNear(work_.EmbeddingForward(kTokens).Total(), 48.5e-6, 1);
  ExpectNear(work_.Update(kParameters).Total(), 5119e-6, 1);
  ExpectNear(work_.Norms(kParameters).Total(), 515e-6, 1);
  ExpectNear(work_.Refresh().Total(), 1.3e-3, 4);
}

TEST_F(WorkOfOlmo1B, GrowsWithItsTokens) {
  const double half = work_.BlockForward(kTokens / 2).Total();
  EXPECT_DOUBLE_EQ(work_.BlockForward(kTokens).Total(), 2 * half) << "no weights are made";
}

TEST_F(WorkOfOlmo1B, MakesWeightsByWhatIsKept) {
  const auto weights = [&](WeightCache cache, bool gathered) {
    recipe_.weight_cache = cache;
    const ModelWork work(config_, recipe_, rates_, gathered);
    return work.BlockForward(kTokens).weights + work.BlockBackward(kTokens).weights;
  };
  EXPECT_EQ(weights(WeightCache::kBoth, false), 0.0);
  EXPECT_GT(weights(WeightCache::kNone, false), 4 * weights(WeightCache::kCodes, false));
  EXPECT_EQ(weights(WeightCache::kNone, true), weights(WeightCache::kCodes, false)) << "codes come from the ranks";
  recipe_ = PlainRecipe(DType::kBF16, DType::kF32, WeightCache::kNone);
  EXPECT_GT(weights(WeightCache::kNone, false), 0.0);
  EXPECT_EQ(weights(WeightCache::kNone, true), 0.0);
}

TEST_F(WorkOfOlmo1B, InDocumentsIsOurKernels) {
  config_.data.generate_doc_lengths = true;
  const ModelWork work(config_, recipe_, rates_, false);
  ExpectNear(work.BlockForward(kTokens).attention, 1246e-6, 1);
  ExpectNear(work.BlockBackward(kTokens).attention, 5512e-6, 1);
}

/// The mean rate of a block's products that have these rates: qkv, out, ff_in, ff_out have 3, 1, 8 and 4 of 16
/// operations.
double MeanOfBlock(double qkv, double out, double ff_in, double ff_out) {
  return 16.0 / (3.0 / qkv + 1.0 / out + 8.0 / ff_in + 4.0 / ff_out);
}
/// Where `out` was not measured.
double MeanWithoutOut(double qkv, double ff_in, double ff_out) {
  return 15.0 / (3.0 / qkv + 8.0 / ff_in + 4.0 / ff_out);
}

TEST(Rates, OfProductsAreMeansOfTheTable) {
  const Rates h200 = RatesOf(FindGpu("h200"));
  // Rates are in whole TFLOPS.
  const auto expect = [](const Rates::OfProducts& rates, double forward, double input, double weight) {
    EXPECT_NEAR(rates[0] / 1e12, forward, 0.5);
    EXPECT_NEAR(rates[1] / 1e12, input, 0.5);
    EXPECT_NEAR(rates[2] / 1e12, weight, 0.5);
  };
  expect(h200.fast, MeanOfBlock(1567, 1420, 1337, 1340), MeanWithoutOut(1417, 1315, 1397),
         MeanWithoutOut(1520, 1339, 1475));
  expect(h200.precise, MeanOfBlock(1363, 1185, 1190, 1253), MeanWithoutOut(1354, 1243, 1195),
         MeanWithoutOut(1429, 1285, 1365));
  const double blocks = MeanOfBlock(1048, 1008, 1050, 1133);
  expect(h200.blocks, blocks, blocks, MeanWithoutOut(1021, 889, 925));
  expect(h200.plain, MeanOfBlock(732, 772, 720, 691), MeanWithoutOut(725, 664, 716), MeanWithoutOut(816, 703, 723));
}

TEST(Rates, OfOtherGpusAreInProportion) {
  const Rates h200 = RatesOf(FindGpu("h200"));
  const Rates h100 = RatesOf(FindGpu("h100"));
  const Rates a100 = RatesOf(FindGpu("a100"));
  EXPECT_EQ(h100.fast, h200.fast) << "the same chip";
  EXPECT_DOUBLE_EQ(h100.copy, h200.copy * 3.35 / 4.8);
  EXPECT_FALSE(a100.has_fp8);
  EXPECT_EQ(a100.fast, a100.plain);
  EXPECT_DOUBLE_EQ(a100.plain[0], h200.plain[0] * 312 / 989.5);
}

}  // namespace
}  // namespace coat
