#include "output/progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace coat {
namespace {

TEST(FormatProgress, HasStepShareLossSpeedAndTimeLeft) {
  EXPECT_EQ(FormatProgress(
                {.step = 123, .max_steps = 1000, .loss = 3.2142, .tokens_per_second = 1234.5, .steps_per_second = 0.5}),
            "step 123/1000  12.3%  loss 3.214  1,234 tokens/s  0:29:14 left");
}

TEST(FormatProgress, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(FormatProgress({.step = 1, .max_steps = 3}), "step 1/3  33.3%");
  EXPECT_EQ(FormatProgress({.step = 0, .max_steps = 0}), "step 0/0");
  EXPECT_EQ(FormatProgress({.step = 3, .max_steps = 3, .steps_per_second = 0.0}), "step 3/3  100.0%");
}

TEST(FormatProgress, HasNoTimeBelowNothing) {
  EXPECT_EQ(FormatProgress({.step = 12, .max_steps = 10, .steps_per_second = 2.0}), "step 12/10  120.0%  0:00:00 left");
}

TEST(FormatSeconds, RoundsUpToWholeSeconds) {
  EXPECT_EQ(FormatSeconds(0), "0:00:00");
  EXPECT_EQ(FormatSeconds(0.1), "0:00:01");
  EXPECT_EQ(FormatSeconds(59.5), "0:01:00");
  EXPECT_EQ(FormatSeconds(3723), "1:02:03");
  EXPECT_EQ(FormatSeconds(86399), "23:59:59");
  EXPECT_EQ(FormatSeconds(86400 * 3 + 4 * 3600 + 5 * 60 + 6), "3d 4:05:06");
}

TEST(FormatSeconds, DoesNotKnowEveryTime) {
  EXPECT_EQ(FormatSeconds(-1), "?");
  EXPECT_EQ(FormatSeconds(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(FormatSeconds(std::numeric_limits<double>::quiet_NaN()), "?");
  EXPECT_EQ(FormatSeconds(1e10), "?");
}

}  // namespace
}  // namespace coat
