#include "optim/scheduler.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

constexpr double kPeak = 4e-4;
constexpr double kLength = 1000;

/// Half of the last of the 15 digits that the numbers here have, 5e-19, and ten roundings of double: 2^-53 of the peak
/// each, 4.4e-20.
constexpr double kRounding = 1e-18;

struct Curve {
  SchedulerName name;
  std::array<double, 11> learning_rates;
};

constexpr std::array<double, 11> kPositions = {0, 1, 50, 99, 100, 101, 325, 550, 999, 1000, 1500};

// Peak 4e-4, warm-up 100, end 1000, alpha_f 0.1, by a separate program from the formulas of OLMo's schedules.
const Curve kCurves[] = {
    {SchedulerName::kCosineWithWarmup,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.000399998903378402, 0.000347279220613579, 0.00022,
      4.00010966215977e-05, 4e-05, 4e-05}},
    {SchedulerName::kLinearWithWarmup,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.0003996, 0.00031, 0.00022, 4.04e-05, 4e-05, 4e-05}},
    {SchedulerName::kInverseSqrtWithWarmup,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.000398014876083996, 0.000221880078490092, 0.000170560573084488,
      0.000126554399433667, 0.000126491106406735, 0.000103279555898864}},
    {SchedulerName::kMaxScheduler,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.000399998903378402, 0.000347279220613579, 0.00022,
      0.000126554399433667, 0.000126491106406735, 0.000103279555898864}},
    {SchedulerName::kConstant,
     {0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004}},
    {SchedulerName::kConstantWithWarmup,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004}},
    {SchedulerName::kCosineLinearEnvelope,
     {4e-05, 4.36e-05, 0.00022, 0.0003964, 0.0004, 0.000399598904596871, 0.000270459415460184, 0.00013,
      4.00000012184684e-05, 4e-05, 4e-05}},
};

SchedulerConfig ConfigOf(SchedulerName name) {
  SchedulerConfig config;
  config.name = name;
  config.t_warmup = 100;
  return config;
}

TEST(Scheduler, FollowsOlmosCurves) {
  for (const Curve& curve : kCurves) {
    const Scheduler scheduler(ConfigOf(curve.name), kPeak, kLength);
    for (std::size_t i = 0; i < kPositions.size(); ++i) {
      EXPECT_NEAR(scheduler.LearningRate(kPositions[i]), curve.learning_rates[i], kRounding)
          << NameOf(curve.name) << " at " << kPositions[i];
    }
  }
}

TEST(Scheduler, DecaysToTMaxWhereItIsGivenAndToTheRunsEndOtherwise) {
  SchedulerConfig config = ConfigOf(SchedulerName::kLinearWithWarmup);
  config.t_max = 500;
  EXPECT_NEAR(Scheduler(config, kPeak, kLength).LearningRate(300), 0.00022, kRounding);
  EXPECT_NEAR(Scheduler(config, kPeak, kLength).LearningRate(700), 4e-5, kRounding);
  config.t_max = std::nullopt;
  EXPECT_NEAR(Scheduler(config, kPeak, kLength).LearningRate(550), 0.00022, kRounding);
}

TEST(Scheduler, CountsTokensAsWellAsSteps) {
  SchedulerConfig tokens = ConfigOf(SchedulerName::kCosineWithWarmup);
  tokens.units = SchedulerUnits::kTokens;
  tokens.t_warmup = 100 * 4096.0;
  const Scheduler by_tokens(tokens, kPeak, kLength * 4096.0);
  const Scheduler by_steps(ConfigOf(SchedulerName::kCosineWithWarmup), kPeak, kLength);
  for (const double step : kPositions) {
    EXPECT_NEAR(by_tokens.LearningRate(step * 4096.0), by_steps.LearningRate(step), kRounding) << step;
  }
}

TEST(Scheduler, StartsTheWarmUpAtWarmupMinLr) {
  SchedulerConfig config = ConfigOf(SchedulerName::kCosineWithWarmup);
  config.warmup_min_lr = 1e-5;
  const Scheduler scheduler(config, kPeak, kLength);
  EXPECT_NEAR(scheduler.LearningRate(0), 1e-5, kRounding);
  EXPECT_NEAR(scheduler.LearningRate(1), 1.39e-5, kRounding);
  EXPECT_NEAR(scheduler.LearningRate(50), 0.000205, kRounding);
  EXPECT_NEAR(scheduler.LearningRate(100), kPeak, kRounding);
}

TEST(Scheduler, NeedsNoWarmUp) {
  SchedulerConfig config = ConfigOf(SchedulerName::kCosineWithWarmup);
  config.t_warmup = 0;
  EXPECT_EQ(Scheduler(config, kPeak, kLength).LearningRate(0), kPeak);
  config.t_warmup = 2000;  // longer than the run: the warm-up goes on, then all is over
  EXPECT_NEAR(Scheduler(config, kPeak, kLength).LearningRate(1500), 4e-5 + 3.6e-4 * 0.75, kRounding);
  EXPECT_NEAR(Scheduler(config, kPeak, kLength).LearningRate(2000), 4e-5, kRounding);
}

TEST(Scheduler, RefusesAnInverseSquareRootWithoutWarmUp) {
  for (const SchedulerName name : {SchedulerName::kInverseSqrtWithWarmup, SchedulerName::kMaxScheduler}) {
    SchedulerConfig config = ConfigOf(name);
    config.t_warmup = 0.5;
    ExpectParts(ErrorOf<ConfigError>([&] { Scheduler(config, kPeak, kLength); }),
                {"scheduler.t_warmup", "0.5", NameOf(name), "at least 1"});
  }
}

TEST(Scheduler, CutsLengthsToWholeNumbers) {
  SchedulerConfig config = ConfigOf(SchedulerName::kLinearWithWarmup);
  config.t_warmup = 100.9;
  config.t_max = 1000.9;
  config.grad_clip_warmup_steps = 5.9;
  config.grad_clip_warmup_factor = 10.0;
  const Scheduler scheduler(config, kPeak, kLength);
  EXPECT_NEAR(scheduler.LearningRate(50), 0.00022, kRounding);
  EXPECT_NEAR(scheduler.LearningRate(550), 0.00022, kRounding);
  EXPECT_EQ(scheduler.Limits(5.5, 1.0, std::nullopt).max_norm, 1.0);
}

TEST(Scheduler, WarmsUpAgainFromWhereABoltOnStarts) {
  Scheduler scheduler(ConfigOf(SchedulerName::kCosineWithWarmup), kPeak, kLength);
  scheduler.BoltOn(200);
  const double expected[][2] = {{150, 0.0},
                                {200, 0.0},
                                {201, 3.57887999761416e-06},
                                {250, 0.000178943999880708},
                                {299, 0.000354309119763802},
                                {300, 0.000357887999761416},
                                {301, 0.000357483285154236},
                                {1000, 4e-05}};
  for (const auto& [position, learning_rate] : expected) {
    EXPECT_NEAR(scheduler.LearningRate(position), learning_rate, kRounding) << position;
  }
}

TEST(Scheduler, BoltsOnInItsOwnUnit) {
  SchedulerConfig tokens = ConfigOf(SchedulerName::kCosineWithWarmup);
  tokens.units = SchedulerUnits::kTokens;
  tokens.t_warmup = 100 * 4096.0;
  Scheduler by_tokens(tokens, kPeak, kLength * 4096.0);
  by_tokens.BoltOn(200 * 4096.0);
  EXPECT_NEAR(by_tokens.LearningRate(250 * 4096.0), 0.000178943999880708, kRounding);
}

TEST(Scheduler, WidensTheClippingLimitsDuringTheClippingWarmUpAndNoStepLater) {
  SchedulerConfig config = ConfigOf(SchedulerName::kCosineWithWarmup);
  config.grad_clip_warmup_steps = 10;
  config.grad_clip_warmup_factor = 5.0;
  const Scheduler scheduler(config, kPeak, kLength);
  EXPECT_EQ(scheduler.Limits(1, 1.0, std::nullopt).max_norm, 5.0);
  EXPECT_EQ(scheduler.Limits(10, 1.0, 2.0).max_norm, 5.0);
  EXPECT_EQ(scheduler.Limits(10, 1.0, 2.0).max_norm_ratio, 10.0);
  EXPECT_EQ(scheduler.Limits(11, 1.0, 2.0).max_norm, 1.0);
  EXPECT_EQ(scheduler.Limits(11, 1.0, 2.0).max_norm_ratio, 2.0);
  EXPECT_EQ(scheduler.Limits(1, std::nullopt, std::nullopt).max_norm, std::nullopt);
  EXPECT_EQ(scheduler.Limits(1, std::nullopt, std::nullopt).max_norm_ratio, std::nullopt);
  const Scheduler without(ConfigOf(SchedulerName::kCosineWithWarmup), kPeak, kLength);
  EXPECT_EQ(without.Limits(1, 1.0, std::nullopt).max_norm, 1.0);
}

}  // namespace
}  // namespace coat
