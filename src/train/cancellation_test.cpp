#include "train/cancellation.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TEST(Cancellation, ComesAtTheTimeLimitWithItsExtraSteps) {
  TrainConfig config;
  EXPECT_EQ(CheckCancellation(config, {}, 1000, 1e9), std::nullopt);
  config.time_limit = 60.0;
  config.extra_steps_after_cancel = 7;
  EXPECT_EQ(CheckCancellation(config, {}, 1000, 59.9), std::nullopt);
  const auto cancellation = CheckCancellation(config, {}, 1000, 60.0);
  ASSERT_TRUE(cancellation);
  EXPECT_EQ(cancellation->extra_steps, 7);
}

TEST(Cancellation, ComesAtOnceWhenTheLossRisesAfterTheWarmUp) {
  TrainConfig config;
  config.early_stopping_factor = 1.25;
  config.scheduler.t_warmup = 100;
  TrainerState state;
  state.min_train_loss = 2.0;
  state.current_train_loss = 2.6;
  EXPECT_EQ(CheckCancellation(config, state, 100, 0), std::nullopt) << "still warming up";
  const auto cancellation = CheckCancellation(config, state, 101, 0);
  ASSERT_TRUE(cancellation);
  EXPECT_EQ(cancellation->extra_steps, 0);
  state.current_train_loss = 2.5;
  EXPECT_EQ(CheckCancellation(config, state, 101, 0), std::nullopt) << "not above the factor";
}

}  // namespace
}  // namespace coat
