#include "train/run_length.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/error_of.h"

namespace coat {
namespace {

TrainConfig WithDuration(Duration duration) {
  TrainConfig config;
  config.max_duration = duration;
  return config;
}

constexpr RunStart kStart = {.step = 0, .tokens_seen = 0, .tokens_per_step = 4096, .steps_per_epoch = 25};

TEST(RunLength, CountsStepsTokensAndEpochs) {
  EXPECT_EQ(MaxSteps({100, Duration::Unit::kSteps}, kStart), 100);
  EXPECT_EQ(MaxSteps({10'000, Duration::Unit::kTokens}, kStart), 2);
  EXPECT_EQ(MaxSteps({2, Duration::Unit::kEpochs}, kStart), 50);
}

TEST(RunLength, CountsOnlyTheTokensThatAreLeft) {
  RunStart resumed = kStart;
  resumed.step = 7;
  resumed.tokens_seen = 7 * 4096;
  EXPECT_EQ(MaxSteps({10 * 4096, Duration::Unit::kTokens}, resumed), 10);
  resumed.tokens_seen = 20 * 4096;
  EXPECT_EQ(MaxSteps({10 * 4096, Duration::Unit::kTokens}, resumed), 7);
}

TEST(RunLength, StopsAtTheSmallestLimit) {
  TrainConfig config = WithDuration({100, Duration::Unit::kSteps});
  EXPECT_EQ(LastStep(config, kStart), 100);
  config.stop_at = 40;
  EXPECT_EQ(LastStep(config, kStart), 40);
  config.stop_after = 5;
  RunStart resumed = kStart;
  resumed.step = 30;
  EXPECT_EQ(LastStep(config, resumed), 35);
  resumed.step = 38;
  EXPECT_EQ(LastStep(config, resumed), 40);
}

TEST(RunLength, RefusesEpochsWhoseStepsDoNotFit63Bits) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 25;
  EXPECT_EQ(MaxSteps({kMost, Duration::Unit::kEpochs}, kStart), kMost * 25);
  EXPECT_EQ(ErrorOf<ConfigError>([] {
              MaxSteps({kMost + 1, Duration::Unit::kEpochs}, kStart);
            }),
            "max_duration: found 368934881474191033ep; accepted with epochs of 25 steps: at most 368934881474191032ep");
}

TEST(RunLength, StopsAtItsEndWhereStopAfterIsBeyond63Bits) {
  TrainConfig config = WithDuration({100, Duration::Unit::kSteps});
  config.stop_after = std::numeric_limits<std::int64_t>::max();
  RunStart resumed = kStart;
  resumed.step = 30;
  EXPECT_EQ(LastStep(config, resumed), 100);
}

TEST(RunLength, MeasuresTheScheduleInItsUnit) {
  TrainConfig config = WithDuration({100, Duration::Unit::kSteps});
  EXPECT_EQ(LengthForScheduler(config, kStart), 100.0);
  config.scheduler.units = SchedulerUnits::kTokens;
  EXPECT_EQ(LengthForScheduler(config, kStart), 409'600.0);
  RunStart resumed = kStart;
  resumed.step = 10;
  resumed.tokens_seen = 10 * 2048;  // with smaller batches than now
  EXPECT_EQ(LengthForScheduler(config, resumed), 10 * 2048 + 90 * 4096.0);
  resumed.step = 101;
  EXPECT_EQ(LengthForScheduler(config, resumed), 10 * 2048.0);
  config.max_duration = {2, Duration::Unit::kEpochs};
  EXPECT_EQ(LengthForScheduler(config, resumed), 50 * 4096.0);
  config.max_duration = {10'000, Duration::Unit::kTokens};
  EXPECT_EQ(LengthForScheduler(config, kStart), 10'000.0);
}

}  // namespace
}  // namespace coat
