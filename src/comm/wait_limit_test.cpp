#include "comm/wait_limit.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

using Look = LimitedWait::Look;

const LimitedWait::Time kStart;

LimitedWait::Time After(int milliseconds) {
  return kStart + std::chrono::milliseconds(milliseconds);
}

TEST(LimitedWait, WarnsOnceAndEnds) {
  LimitedWait wait({.warning = 1.0, .end = 2.0}, kStart);
  EXPECT_EQ(wait.At(After(500)), Look::kGoOn);
  EXPECT_EQ(wait.At(After(1000)), Look::kWarn);
  EXPECT_EQ(wait.At(After(1900)), Look::kGoOn);
  EXPECT_EQ(wait.At(After(2000)), Look::kEnd);
  EXPECT_EQ(wait.seconds(), 2.0);
}

TEST(LimitedWait, DoesNotCountTheTimeInWhichTheWaitingRankWasSuspended) {
  LimitedWait wait({.warning = 60.0, .end = 1800.0}, kStart);
  EXPECT_EQ(wait.At(After(3600 * 1000)), Look::kGoOn);
  EXPECT_EQ(wait.seconds(), 1.0);
}

}  // namespace
}  // namespace coat
