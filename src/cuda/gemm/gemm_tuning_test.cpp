#include "cuda/gemm/gemm_tuning.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace coat::cuda {
namespace {

ProductKey ExampleKey() {
  return {.shape = {16384, 6144, 2048},
          .a = Format::PerTensor(DType::kE4M3),
          .b = Format::PerTensor(DType::kE5M2),
          .d = DType::kBF16,
          .alignments = {256, 256, 16}};
}

TEST(ProductKey, TellsApartAllThatAProductIs) {
  ProductKey key = ExampleKey();
  EXPECT_EQ(key.ToString(), "16384x6144x2048 e4m3/t e5m2/t bf16 NT 256,256,16");
  key.accumulate = true;
  key.fast_accumulation = true;
  key.device_factors = true;
  key.layout = GemmLayout::kTN;
  EXPECT_EQ(key.ToString(), "16384x6144x2048 e4m3/t e5m2/t bf16+= TN fast factors 256,256,16");
}

TEST(AlignmentOf, IsTheLargestThatIsToldApart) {
  const auto at = [](std::uintptr_t address) { return AlignmentOf(reinterpret_cast<const void*>(address)); };
  EXPECT_EQ(at(0x1000), 256);
  EXPECT_EQ(at(0x1080), 16);
  EXPECT_EQ(at(0x1008), 8);
  EXPECT_EQ(at(0x1006), 2);
  EXPECT_EQ(at(0x1001), 1);
}

TEST(Choose, TakesTheOnlyOne) {
  const std::vector<TimedAlgorithm> timed = {{1.0, 7}};
  EXPECT_EQ(Choose(timed, true).taken, 0u);
  EXPECT_EQ(Choose(timed, true).reference, 0u);
}

TEST(Choose, TakesTheFastestWithTheBitsOfTheFirst) {
  const std::vector<TimedAlgorithm> timed = {{1.0, 7}, {0.85, 8}, {0.87, 7}, {0.9, 7}};
  EXPECT_EQ(Choose(timed, true).taken, 2u);
  EXPECT_EQ(Choose(timed, true).reference, 2u);
}

TEST(Choose, TakesOtherBitsForMoreThanThreePercent) {
  const std::vector<TimedAlgorithm> slower = {{1.0, 7}, {0.971, 8}};
  EXPECT_EQ(Choose(slower, true).taken, 0u);
  const std::vector<TimedAlgorithm> faster = {{1.0, 7}, {0.98, 7}, {0.95, 8}, {0.94, 9}};
  EXPECT_EQ(Choose(faster, true).taken, 3u);
  EXPECT_EQ(Choose(faster, false).taken, 1u) << "of the first's bits";
  EXPECT_EQ(Choose(faster, true).reference, 1u);
}

TEST(Choose, DoesNotTrustDifferencesOfMicroseconds) {
  const std::vector<TimedAlgorithm> timed = {{0.010, 7}, {0.006, 8}};
  EXPECT_EQ(Choose(timed, true).taken, 0u);
}

TEST(Describe, SumsUpWhatHasRun) {
  EXPECT_EQ(Describe({}), "");
  TuningReport report = {.products = {{"a", {.milliseconds = 1.0, .reference_milliseconds = 1.0}}},
                         .imported = 0,
                         .seconds = 0.25,
                         .refused = {}};
  EXPECT_EQ(Describe(report),
            "1 matrix products: 1 timed in 0.2 s, 0 imported; once each they take 1.00 ms; the slowest, 1.00 ms, is a");
  report.products["b"] = {.scales_by_row = true, .milliseconds = 2.0, .reference_milliseconds = 2.5};
  report.products["c"] = {.milliseconds = 0.5, .reference_milliseconds = 0.5};
  report.imported = 1;
  report.refused = {"a: not supported"};
  EXPECT_EQ(Describe(report),
            "3 matrix products: 2 timed in 0.2 s, 1 imported; once each they take 3.50 ms; 1 with other bits than the "
            "library's first choice, faster by 0.50 ms; 1 with scales by row; the slowest, 2.00 ms, is b; timed anew, "
            "since the library does not take their imported algorithms; a: not supported");
}

TEST(Tuning, SurvivesBeingText) {
  Tuning tuning = {.device = "NVIDIA H200, 132 multiprocessors", .library = 130100, .products = {}};
  tuning.products[ExampleKey().ToString()] = {.algorithm = {1, 0xffffffffffffffff, 0, 3, 4, 5, 6, 0x8000000000000000},
                                              .scales_by_row = true,
                                              .milliseconds = 0.1234567890123,
                                              .reference_milliseconds = 0.2,
                                              .algorithms = 48};
  tuning.products["other"] = {};
  EXPECT_EQ(TuningFromJson(ToJson(tuning)), tuning);
}

TEST(Tuning, RefusesTextThatIsNotItsOwn) {
  EXPECT_THROW(TuningFromJson(""), IoError);
  EXPECT_THROW(TuningFromJson("{}"), IoError);
  EXPECT_THROW(TuningFromJson("[]"), IoError);
  std::string text = ToJson({.device = "a", .library = 1, .products = {{"key", {}}}});
  text.replace(text.find("00000000"), 8, "0000000x");
  EXPECT_THROW(TuningFromJson(text), IoError);
}

}  // namespace
}  // namespace coat::cuda
