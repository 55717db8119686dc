#include "output/speed_monitor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"

namespace coat {
namespace {

using Seconds = std::chrono::duration<double>;

/// A monitor and the time that it reads.
class SpeedMonitorTest : public testing::Test {
 protected:
  void Batch(double seconds, std::int64_t tokens) {
    total_tokens_ += tokens;
    monitor_.StartBatch(total_tokens_, tokens);
    Pass(seconds);
  }
  void Pass(double seconds) {
    now_ += std::chrono::duration_cast<std::chrono::steady_clock::duration>(Seconds(seconds));
  }
  double TokensPerSecond() { return monitor_.Check().Find("throughput/device/tokens_per_second").value_or(-1); }
  double BatchesPerSecond() { return monitor_.Check().Find("throughput/device/batches_per_second").value_or(-1); }

  std::chrono::steady_clock::time_point now_{};
  std::int64_t total_tokens_ = 0;
  SpeedMonitor monitor_{3, 2e9, [this] { return now_; }};
};

TEST_F(SpeedMonitorTest, LeavesOutTheFirstBatch) {
  Batch(100, 1000);
  EXPECT_EQ(TokensPerSecond(), -1);
  Batch(2, 1000);
  EXPECT_DOUBLE_EQ(TokensPerSecond(), 500);
  EXPECT_DOUBLE_EQ(BatchesPerSecond(), 0.5);
}

TEST_F(SpeedMonitorTest, CountsFromTheStartOfTheOldestBatchInTheWindow) {
  Batch(9, 7);
  Batch(1, 100);
  Batch(2, 200);
  Batch(4, 300);
  EXPECT_DOUBLE_EQ(TokensPerSecond(), 600.0 / 7);
  Batch(8, 400);  // the batch of 100 tokens has left
  EXPECT_DOUBLE_EQ(TokensPerSecond(), 900.0 / 14);
  EXPECT_DOUBLE_EQ(BatchesPerSecond(), 3.0 / 14);
  Pass(1);  // until now, not until the end of the last batch
  EXPECT_DOUBLE_EQ(TokensPerSecond(), 900.0 / 15);
}

TEST_F(SpeedMonitorTest, ForgetsTheWindowAndRecordsTheNextBatch) {
  Batch(1, 10);
  Batch(1, 10);
  monitor_.Clear();
  EXPECT_EQ(TokensPerSecond(), -1);
  Pass(1000);
  Batch(2, 10);
  EXPECT_DOUBLE_EQ(TokensPerSecond(), 5);
}

TEST_F(SpeedMonitorTest, NamesAndOrderAreOlmos) {
  Batch(1, 8);
  Batch(1, 8);
  std::vector<std::string> names;
  const Metrics metrics = monitor_.Check();
  for (const auto& [name, value] : metrics.items()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"throughput/total_tokens", "throughput/total_training_Gflops",
                                      "throughput/total_training_log_Gflops", "throughput/device/tokens_per_second",
                                      "throughput/device/batches_per_second"}));
  EXPECT_EQ(metrics.Find("throughput/total_tokens"), 16);
  EXPECT_EQ(metrics.Find("throughput/total_training_Gflops"), 32);
  EXPECT_DOUBLE_EQ(*metrics.Find("throughput/total_training_log_Gflops"), std::log(32.0));
}

TEST_F(SpeedMonitorTest, HasNoRateWhileNoTimeHasPassedAndNoLogarithmOfNothing) {
  EXPECT_EQ(monitor_.Check().Find("throughput/total_training_log_Gflops"), std::nullopt);
  Batch(0, 8);
  Batch(0, 8);
  EXPECT_EQ(TokensPerSecond(), -1);
  EXPECT_EQ(BatchesPerSecond(), -1);
}

TEST(SpeedMonitor, RefusesAWindowOfNothing) {
  EXPECT_THROW(SpeedMonitor(0, 1), ArgumentError);
  EXPECT_THROW(SpeedMonitor(-1, 1), ArgumentError);
}

}  // namespace
}  // namespace coat
