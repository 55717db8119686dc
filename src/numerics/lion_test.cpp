#include "numerics/lion.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TEST(LionW, IsAsComputedByHand) {
  const LionWScalars scalars({.learning_rate = 0.25, .beta1 = 0.5, .beta2 = 0.75}, 0.5);
  // u = 0.5 * 4 + 0.5 * (-8) = -2; p = 2 * (1 - 0.125) + 0.25; m = 0.75 * 4 + 0.25 * (-8) = 1.
  const LionWElement down = LionWUpdate(scalars, {2.0f, 4.0f}, -8.0f);
  EXPECT_EQ(down.param, 2.0f);
  EXPECT_EQ(down.exp_avg, 1.0f);
  // u = 0: only the decay.
  const LionWElement still = LionWUpdate(scalars, {2.0f, 4.0f}, -4.0f);
  EXPECT_EQ(still.param, 1.75f);
  EXPECT_EQ(still.exp_avg, 2.0f);
  const LionWElement up = LionWUpdate(scalars, {2.0f, 0.0f}, 1e-30f);
  EXPECT_EQ(up.param, 1.5f);
}

}  // namespace
}  // namespace coat
