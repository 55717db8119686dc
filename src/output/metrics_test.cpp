#include "output/metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace coat {
namespace {

// Expected texts are what Python 3 prints for OLMo's format_float.
TEST(FormatMetric, IsOlmosConsoleFormat) {
  const std::pair<double, const char*> expected[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1e-05, "1e-05"},
      {1.5e-05, "1.5e-05"},
      {9.999e-05, "9.999e-05"},
      {1e-4, "0.0001"},
      {0.00015, "0.0001"},  // the double below 0.00015
      {0.421, "0.4210"},
      {1.0, "1.0000"},
      {1.0000001, "1.000"},
      {3.2142, "3.214"},
      {10.0, "10.000"},
      {10.000001, "10.00"},
      {24.8849, "24.88"},
      {100.0, "100.00"},
      {100.05, "100.0"},
      {999.96, "1000.0"},
      {1000.0, "1000.0"},
      {1000.5, "1,000"},
      {1999.99, "1,999"},  // cut, not rounded
      {515899392.0, "515,899,392"},
      {1e6, "1,000,000"},
      {123456.0, "123,456"},
      {1e22, "10,000,000,000,000,000,000,000"},
      {-0.5, "-0.5"},
      {-3.0, "-3.0"},
      {-123456.75, "-123456.75"},
      {-1e15, "-1000000000000000.0"},
      {-1e16, "-1e+16"},
      {-1.25e-7, "-1.25e-07"},
      {5e-324, "5e-324"},
  };
  for (const auto& [value, text] : expected) EXPECT_EQ(FormatMetric(value), text);
}

TEST(FormatMetric, HasATextForWhatIsNotFinite) {
  EXPECT_EQ(FormatMetric(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(FormatMetric(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(FormatMetric(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(FormatMetric(-std::numeric_limits<double>::quiet_NaN()), "nan");
}

TEST(Metrics, KeepTheOrderInWhichNamesCameAndReplaceInPlace) {
  Metrics metrics;
  EXPECT_TRUE(metrics.empty());
  metrics.Set("b", 1);
  metrics.Set("a", 2);
  metrics.Set("b", 3);
  Metrics more;
  more.Set("c", 5);
  more.Set("a", 4);
  metrics.Merge(more);
  const std::vector<Metrics::Item> expected = {{"b", 3}, {"a", 4}, {"c", 5}};
  EXPECT_EQ(metrics.items(), expected);
  EXPECT_EQ(metrics.Find("a"), 4);
  EXPECT_EQ(metrics.Find("d"), std::nullopt);
  EXPECT_FALSE(metrics.empty());
}

TEST(FormatConsole, IsOlmosBlockWithTheGradientNormOnlyOfTheOptimizer) {
  Metrics metrics;
  metrics.Set("optim/total_grad_norm", 0.421);
  metrics.Set("optim/learning_rate_group0", 4e-4);
  metrics.Set("optim/total_grad_norm_clipped", 1);
  metrics.Set("train/CrossEntropyLoss", 3.214);
  metrics.Set("train/Perplexity", 24.8784);
  metrics.Set("throughput/total_tokens", 515899392);
  EXPECT_EQ(FormatConsole(123, 739328, 0, metrics),
            "[step=123/739328,epoch=0]\n"
            "    optim/total_grad_norm=0.4210\n"
            "    train/CrossEntropyLoss=3.214\n"
            "    train/Perplexity=24.88\n"
            "    throughput/total_tokens=515,899,392");
}

TEST(FormatConsole, WithoutMetricsIsTheFirstLine) {
  EXPECT_EQ(FormatConsole(1, 2, 3, Metrics()), "[step=1/2,epoch=3]");
}

}  // namespace
}  // namespace coat
